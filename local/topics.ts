import { createKafka, createTopics } from '../platform/kafka.ts';
import { silentLogger } from '../platform/log.ts';
import type { Settings } from '../platform/settings.ts';

export const DEFAULT_PARTITIONS = 6;

export interface TopicOptions {
  settings: Settings;
  brokers: readonly string[];
  /** Of new event topics; where there is an event topic already, new ones get as many as that has, since all must agree. */
  partitions?: number;
  say: (line: string) => void;
}

/**
 * Creates the event topics that the settings name (a pattern names none) and the dead-letter topic, where missing. What is
 * there stays as it is. Replication is the broker's default.
 *
 * @throws Error of kafkajs where Kafka refuses (authorisation, policy)
 */
export async function ensureTopics({ settings, brokers, partitions, say }: TopicOptions): Promise<void> {
  const { tls, sasl } = settings.kafka;
  const admin = createKafka({ brokers, tls, sasl, clientId: 'whence-up', log: silentLogger() }).admin();
  await admin.connect();
  try {
    const existing = new Set(await admin.listTopics());
    const selectors = [...settings.impressionTopics, ...settings.playbackTopics];
    const names = new Set(selectors.filter((selector) => typeof selector === 'string'));
    const present = [...names].filter((name) => existing.has(name));
    const one = present.slice(0, 1);
    const { topics: found } = one.length > 0 ? await admin.fetchTopicMetadata({ topics: one }) : { topics: [] };
    const count = found[0]?.partitions.length ?? partitions ?? DEFAULT_PARTITIONS;
    const wanted = [...names].map((topic) => ({ topic, numPartitions: count, replicationFactor: -1 }));
    wanted.push({ topic: settings.dlqTopic, numPartitions: 1, replicationFactor: -1 });
    const missing = wanted.filter(({ topic }) => !existing.has(topic));
    if (missing.length === 0) return;
    await createTopics(admin, missing);
    for (const { topic, numPartitions } of missing) say(`Kafka: created topic ${topic}, partitions: ${numPartitions}`);
  } finally {
    await admin.disconnect();
  }
}
