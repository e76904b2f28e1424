import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkKafka } from '../platform/kafka.ts';
import { silentLogger } from '../platform/log.ts';
import { openClient } from '../platform/postgres.ts';
import type { Settings } from '../platform/settings.ts';
import { connectTemporal } from '../platform/temporal.ts';
import { attachKafka, startKafka, type KafkaService } from './kafka.ts';
import { attachPostgres, startPostgres, type PostgresService } from './postgres.ts';
import { waitUntilFree } from './ports.ts';
import { isRunning, type Runnable } from './process.ts';
import type { Service, ServiceHandle, ServiceName, StartOptions } from './service.ts';
import { stackFolder, writeStackState, type ServiceRecord, type StackState } from './stack-state.ts';
import { attachTemporal, startTemporal, type TemporalService } from './temporal.ts';

/** Stable, so that addresses can be written down. */
export const DEFAULT_PORTS: StackPorts = { postgres: 54_329, kafka: 39_092, temporal: 7_233, temporalUi: 8_233 };

export interface StackPorts {
  postgres: number;
  kafka: number;
  temporal: number;
  temporalUi: number;
}

/** Where a server comes from: the environment names it, an earlier `up` started it, or this one did. */
export type Source = 'environment' | 'running' | 'started';

export interface StackPart<Kind extends Service = Service> {
  source: Source;
  /** host:port, for people; without credentials. */
  where: string;
  /** Null for a server that the environment names. */
  service: Kind | null;
}

export interface PartOptions {
  settings: Settings;
  /** For servers that do not run yet; 0 is any free port. Those not given are as they were, or else the defaults. */
  ports?: Partial<StackPorts>;
  kafkaHeapMb?: number;
  /** Of Temporal; name to type. */
  searchAttributes?: Readonly<Record<string, string>>;
  /** Told what happens, a line at a time. */
  say: (line: string) => void;
}

// Each makes one server available: the environment's, which must answer; or the one that runs; or a new one. A change is
// written to the state of the stack, whose lock must be held.

/** @throws PostgresUnavailableError, and as `startPostgres` */
export async function providePostgres(options: PartOptions, state: StackState): Promise<StackPart<PostgresService>> {
  const { databaseUrl, dataDir } = options.settings;
  if (databaseUrl !== null) {
    const client = await openClient(databaseUrl, 'whence-up');
    await client.end();
    return fromEnvironment('Postgres', `${client.host}:${client.port}`, 'DATABASE_URL', options);
  }
  const directory = path.join(stackFolder(dataDir), 'postgres');
  return provideLocal(options, state, {
    name: 'postgres',
    title: 'Postgres',
    attach: (handle) => attachPostgres(directory, handle),
    start: (common) => startPostgres({ ...common, directory }),
  });
}

/** @throws KafkaUnavailableError, and as `startKafka` */
export async function provideKafka(options: PartOptions, state: StackState): Promise<StackPart<KafkaService>> {
  const { kafka, dataDir } = options.settings;
  if (kafka.brokers !== null) {
    const { brokers, tls, sasl } = kafka;
    await checkKafka({ brokers, tls, sasl, clientId: 'whence-up', log: silentLogger() });
    return fromEnvironment('Kafka', brokers.join(','), 'KAFKA_BROKERS', options);
  }
  const directory = path.join(stackFolder(dataDir), 'kafka');
  const heap = options.kafkaHeapMb === undefined ? {} : { heapMb: options.kafkaHeapMb };
  return provideLocal(options, state, {
    name: 'kafka',
    title: 'Kafka',
    attach: attachKafka,
    start: (common) => startKafka({ ...common, ...heap, directory }),
  });
}

/** @throws TemporalUnavailableError, and as `startTemporal` */
export async function provideTemporal(options: PartOptions, state: StackState): Promise<StackPart<TemporalService>> {
  const { dataDir, temporal } = options.settings;
  const { address, namespace } = temporal;
  if (address !== null) {
    const connected = await connectTemporal({ ...temporal, address });
    await connected.close();
    return fromEnvironment('Temporal', address, 'TEMPORAL_ADDRESS', options);
  }
  const directory = path.join(stackFolder(dataDir), 'temporal');
  const searchAttributes = options.searchAttributes ?? {};
  const uiPort = options.ports?.temporalUi ?? state.temporal?.uiPort ?? DEFAULT_PORTS.temporalUi;
  return provideLocal(options, state, {
    name: 'temporal',
    title: 'Temporal',
    attach: (handle) => attachTemporal(handle, namespace),
    start: (common) => startTemporal({ ...common, directory, uiPort, namespace, searchAttributes }),
  });
}

function fromEnvironment(title: string, where: string, variable: string, options: PartOptions): StackPart<never> {
  options.say(`${title}: ${where}, which ${variable} names, answers`);
  return { source: 'environment', where, service: null };
}

interface LocalKind<Kind extends Service> {
  name: ServiceName;
  title: string;
  attach: (handle: ServiceHandle) => Kind;
  start: (common: Omit<StartOptions, 'directory'>) => Promise<Kind>;
}

/** The one that runs, if it answers; else a new one, with the port and data of the old. */
async function provideLocal<Kind extends Service>(
  options: PartOptions,
  state: StackState,
  { name, title, attach, start }: LocalKind<Kind>,
): Promise<StackPart<Kind>> {
  const say = (line: string) => options.say(`${title}: ${line}`);
  const record = state[name];
  if (record !== undefined) {
    const service = attach(record);
    if (await answersSoon(service)) {
      say(`runs on 127.0.0.1:${record.port} (${describe(record.runnable)}, since ${record.startedAt})`);
      return { source: 'running', where: `127.0.0.1:${record.port}`, service };
    }
    const alive = isRunning(record.runnable);
    say(`${describe(record.runnable)} ${alive ? 'does not answer' : 'has ended'}; starting it again`);
    await service.stop();
    await waitUntilFree(record.port, 5_000);
  }
  // Before it is ready: whatever happens to us meanwhile, `down` must find it.
  const onSpawn = (handle: ServiceHandle) => {
    const entry: ServiceRecord = { ...handle, startedAt: new Date().toISOString() };
    state[name] = entry;
    writeStackState(options.settings.dataDir, state);
  };
  const began = Date.now();
  const service = await start({ port: options.ports?.[name] ?? record?.port ?? DEFAULT_PORTS[name], say, onSpawn });
  const seconds = ((Date.now() - began) / 1_000).toFixed(1);
  say(`started on 127.0.0.1:${service.port} in ${seconds} s (${describe(service.runnable)}, log ${service.logFile})`);
  return { source: 'started', where: `127.0.0.1:${service.port}`, service };
}

const ANSWER_BOUND_MS = 10_000;

/** One that does not answer yet may have been left starting by an `up` that was killed. */
async function answersSoon(service: Service): Promise<boolean> {
  const bound = sleep(ANSWER_BOUND_MS, 'late' as const, { ref: false });
  while (service.isRunning()) {
    const answer = await Promise.race([service.answers(), bound]);
    if (answer === 'late') return false;
    if (answer) return true;
    await sleep(100);
  }
  return false;
}

/** For people: which process or container. */
export function describe(runnable: Runnable): string {
  return runnable.kind === 'process' ? `pid ${runnable.pid}` : `container ${runnable.id.slice(0, 12)}`;
}
