import fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import kafkajs, {
  type Admin,
  type ITopicConfig,
  type Kafka,
  type KafkaConfig,
  type Producer,
  type ProducerConfig,
} from 'kafkajs';
import pRetry from 'p-retry';
import { registerCodecs } from './kafka-codecs.ts';
import { installBatchDecoder } from './kafka-batch-decoder.ts';
import { installRequestQueue } from './kafka-request-queue.ts';
import { wholeResponses } from './kafka-socket.ts';
import type { Logger } from './log.ts';
import type { Outage } from './outage.ts';
import type { SaslSettings, TlsFiles, TopicSelector } from './settings.ts';

export interface KafkaOptions {
  brokers: readonly string[];
  /** Seen in the broker's logs and quotas: `whence-stream`, … */
  clientId: string;
  log: Logger;
  tls?: TlsFiles | null;
  sasl?: SaslSettings | null;
  /** How long kafkajs tries again before an operation fails; its own defaults where not given. */
  retry?: KafkaConfig['retry'];
  /** How long a broker may take to answer a request; 30 s by default. */
  requestTimeoutMs?: number;
  /** Is told where brokers are away, in place of the log; it is for whoever gives it to find out that they are back. */
  outage?: Outage;
}

/** What the brokers are to an outage. */
export const KAFKA_PART = 'Kafka';

/** Kafka cannot be reached, or will not let us in. Names the brokers, never a credential. */
export class KafkaUnavailableError extends Error {
  override readonly name = 'KafkaUnavailableError';
}

/**
 * The Kafka client of whence: TLS and SASL as set, the codecs of all compressions, and its log within ours. It connects
 * only when a producer, consumer or admin of it does.
 *
 * @throws Error of the file system where a certificate cannot be read
 */
export function createKafka(options: KafkaOptions): Kafka {
  registerCodecs();
  installBatchDecoder();
  installRequestQueue();
  return new kafkajs.Kafka({
    brokers: [...options.brokers],
    clientId: options.clientId,
    logLevel: kafkajs.logLevel.INFO,
    logCreator: () => logInto(options),
    ...(!options.tls && !options.sasl && { socketFactory: wholeResponses }),
    ...(options.tls && { ssl: readTls(options.tls) }),
    ...(options.sasl && { sasl: saslOptions(options.sasl) }),
    ...(options.retry && { retry: options.retry }),
    ...(options.requestTimeoutMs !== undefined && { requestTimeout: options.requestTimeoutMs }),
  });
}

/** A producer that places keys on partitions as Java's does (murmur2), so that all producers of a topic agree. */
export function createProducer(kafka: Kafka, config: Omit<ProducerConfig, 'createPartitioner'> = {}): Producer {
  return kafka.producer({
    allowAutoTopicCreation: false,
    ...config,
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
  });
}

/**
 * Makes sure that the brokers answer; gives up within about 10 s.
 *
 * @throws KafkaUnavailableError which names the brokers and the reason
 */
export async function checkKafka(options: KafkaOptions): Promise<void> {
  const log = options.log.child({}, { level: 'silent' });
  const admin = createKafka({ requestTimeoutMs: 3_000, retry: { retries: 2 }, ...options, log }).admin();
  try {
    await admin.connect();
    await admin.describeCluster();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new KafkaUnavailableError(
      `Kafka at ${options.brokers.join(', ')} cannot be reached (${reason}); check KAFKA_BROKERS and that it runs`,
      { cause: error },
    );
  } finally {
    await admin.disconnect().catch(() => {});
  }
}

/** Runs `work` with a connected admin client, and disconnects it whatever happens. */
export async function withAdmin<Result>(kafka: Kafka, work: (admin: Admin) => Promise<Result>): Promise<Result> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

const TOPICS_BOUND_MS = 30_000;

/**
 * Creates topics, those that are not there yet, and waits until the brokers know them and each partition has a leader.
 * kafkajs's own waiting fails where a broker has not heard of a topic yet, as a busy one may not.
 *
 * @throws Error of kafkajs where Kafka refuses, or they are not ready within 30 s
 */
export async function createTopics(
  admin: Pick<Admin, 'createTopics' | 'fetchTopicMetadata'>,
  topics: readonly ITopicConfig[],
): Promise<void> {
  await admin.createTopics({ topics: [...topics], waitForLeaders: false });
  const names = topics.map(({ topic }) => topic);
  const deadline = Date.now() + TOPICS_BOUND_MS;
  for (;;) {
    try {
      const found = await admin.fetchTopicMetadata({ topics: names });
      const partitions = found.topics.flatMap((topic) => topic.partitions);
      if (partitions.every(({ leader }) => leader >= 0)) return;
      if (Date.now() > deadline) throw new KafkaUnavailableError(`No leader for each partition of ${names.join(', ')}`);
    } catch (error) {
      if (!isRetriable(error) || Date.now() > deadline) throw error;
    }
    await sleep(50);
  }
}

/**
 * Does again, for half a minute, what failed only since brokers do not yet know all of a topic: who leads a partition that was
 * made a moment ago, or has another leader now. kafkajs's admin client tries such questions once.
 */
export async function askAgain<Result>(ask: () => Promise<Result>): Promise<Result> {
  return pRetry(ask, {
    retries: Infinity,
    minTimeout: 50,
    maxTimeout: 1_000,
    maxRetryTime: TOPICS_BOUND_MS,
    shouldRetry: ({ error }) => isRetriable(error),
  });
}

function isRetriable(error: unknown): boolean {
  if (error instanceof kafkajs.KafkaJSNumberOfRetriesExceeded) return true;
  return error instanceof kafkajs.KafkaJSError && error.retriable;
}

/** The topics among `names` that the selectors name or match, in code unit order. */
export function selectTopics(selectors: readonly TopicSelector[], names: readonly string[]): string[] {
  const selects = (name: string) =>
    selectors.some((selector) => (typeof selector === 'string' ? selector === name : selector.test(name)));
  return names.filter(selects).sort();
}

/** Certificates from their files, in the form of Node's TLS. */
export function readTls(files: TlsFiles): { ca?: string; cert?: string; key?: string } {
  return {
    ...(files.ca && { ca: fs.readFileSync(files.ca, 'utf8') }),
    ...(files.cert && { cert: fs.readFileSync(files.cert, 'utf8') }),
    ...(files.key && { key: fs.readFileSync(files.key, 'utf8') }),
  };
}

function saslOptions({ mechanism, username, password }: SaslSettings): NonNullable<KafkaConfig['sasl']> {
  return { mechanism, username, password } as NonNullable<KafkaConfig['sasl']>;
}

/** What kafkajs thinks worth knowing (each pause, each resume) is for whoever debugs. */
const LEVELS = { 1: 'error', 2: 'warn', 4: 'debug', 5: 'trace' } as const;

const USUAL =
  /rebalancing|generation id is not valid|not aware of this member|coordinator is loading|limiting retries for the idempotent/i;

/** Each try to reach a broker that is away says the same again: it is said once in so long. */
const SAID_AGAIN_AFTER_MS = 60_000;
const MOST_REMEMBERED = 1_000;

/** A broker that is away, in the many words that kafkajs has for it. */
const AWAY =
  /ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|connection (error|timeout)|closed connection|failed to connect|not connected|no broker available|disconnected|timed out|no leader|leadership election|coordinator is not available|restarting the consumer/i;

/** Whether kafkajs failed since a broker does not answer. */
export function isAway(error: unknown): boolean {
  return error instanceof Error && error.name.startsWith('KafkaJS') && AWAY.test(error.message);
}

function logInto({
  log,
  outage,
}: Pick<KafkaOptions, 'log' | 'outage'>): ReturnType<NonNullable<KafkaConfig['logCreator']>> {
  const saidAt = new Map<string, number>();
  return ({ namespace, level, log: { message, timestamp: _timestamp, ...fields } }) => {
    // Rebalances and coordinators that start are daily business, and kafkajs calls them errors.
    const usual = USUAL.test(typeof fields.error === 'string' ? fields.error : message);
    const trouble = outage !== undefined && level <= kafkajs.logLevel.WARN;
    const away = trouble && AWAY.test(`${message} ${String(fields['error'])}`);
    // What it says of a broker that is away, or begins to answer again, is part of the incident.
    const told = away || (trouble && outage.isWaiting(KAFKA_PART));
    const ours = usual || told ? 'debug' : LEVELS[level as keyof typeof LEVELS];
    if (ours === undefined) return;
    // What a broker that is back again leaves behind is no new incident; a real one is noticed by who asks the brokers.
    if (away && !saidLately(saidAt, KAFKA_PART)) outage.began(KAFKA_PART, new Error(message));
    const again = level <= kafkajs.logLevel.WARN && !usual && saidLately(saidAt, `${namespace} ${message}`);
    log[again ? 'debug' : ours]({ kafka: namespace, ...fields }, message);
  };
}

/** Whether it was said within the last minute; from now on it was. */
function saidLately(saidAt: Map<string, number>, what: string): boolean {
  const now = Date.now();
  if (now - (saidAt.get(what) ?? -Infinity) < SAID_AGAIN_AFTER_MS) return true;
  if (saidAt.size >= MOST_REMEMBERED) saidAt.clear();
  saidAt.set(what, now);
  return false;
}
