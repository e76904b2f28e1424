/** Where the one node listens and keeps its data. */
export interface BrokerPlace {
  port: number;
  controllerPort: number;
  data: string;
  /** What it binds; in a container all interfaces, of which Docker shows 127.0.0.1 alone. */
  bindHost?: string;
}

/** The configuration of a Kafka of one node, broker and controller in one, for development and tests. */
export function brokerProperties({
  port,
  controllerPort,
  data,
  bindHost = '127.0.0.1',
}: BrokerPlace): Map<string, string> {
  return new Map(
    Object.entries({
      'process.roles': 'broker,controller',
      'node.id': '1',
      'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
      'controller.listener.names': 'CONTROLLER',
      listeners: `PLAINTEXT://${bindHost}:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
      'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
      'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
      'inter.broker.listener.name': 'PLAINTEXT',
      'log.dirs': data,
      // A mistyped topic must be an error, not a new topic with the wrong number of partitions.
      'auto.create.topics.enable': 'false',
      // By default Kafka deletes by the records' own times: history that someone produces with old timestamps would be
      // gone within minutes. `down --delete-data` is the way to delete here.
      'log.retention.ms': '-1',
      // After a kill −9 the node may come back only once its former self counts as dead: 9 s by default.
      'broker.session.timeout.ms': '3000',
      'broker.heartbeat.interval.ms': '500',
      // One node: no replicas, few internal partitions, and no wait for members that may come.
      'default.replication.factor': '1',
      'offsets.topic.replication.factor': '1',
      'offsets.topic.num.partitions': '1',
      'transaction.state.log.replication.factor': '1',
      'transaction.state.log.min.isr': '1',
      'transaction.state.log.num.partitions': '4',
      'share.coordinator.state.topic.replication.factor': '1',
      'share.coordinator.state.topic.min.isr': '1',
      'group.min.session.timeout.ms': '1000',
      'group.initial.rebalance.delay.ms': '0',
      'log.cleaner.dedupe.buffer.size': String(16 * 1024 * 1024),
    }),
  );
}

/** As `server.properties`. */
export function toPropertiesFile(properties: ReadonlyMap<string, string>): string {
  return [...properties].map(([name, value]) => `${name}=${value.replaceAll('\\', '\\\\')}\n`).join('');
}

/** As the environment of the image apache/kafka: `log.dirs` is KAFKA_LOG_DIRS. */
export function toContainerEnvironment(properties: ReadonlyMap<string, string>): [string, string][] {
  return [...properties].map(([name, value]) => [`KAFKA_${name.toUpperCase().replaceAll('.', '_')}`, value]);
}
