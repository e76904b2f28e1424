import { setTimeout as sleep } from 'node:timers/promises';
import kafkajs, { type Kafka, type PartitionMetadata, type Producer, type Transaction } from 'kafkajs';
import pRetry from 'p-retry';
import { conditionOf, type DeadLetterFilter } from '../observe/dead-letters.ts';
import { createProducer, withAdmin } from '../platform/kafka.ts';
import { isLocked } from '../platform/passing.ts';
import type { Pool, Queryable } from '../platform/postgres.ts';
import { LETTER_HEADER, letterHeader } from '../streaming/replayed-letter.ts';
import { findGroupId } from '../streaming/sql/find-group-id.ts';
import { Outbox, SendFailedError, type Refusal } from './outbox.ts';
import {
  beginReplay,
  findReplayInDoubt,
  markReplay,
  takeOut,
  undoReplay,
  type BegunBatch,
  type Letter,
  type ReplayBatch,
} from './replay-batches.ts';

/** The place that a dead letter came from. */
export type LetterOf = Pick<Letter, 'id' | 'topic' | 'partition'>;

export interface ReplayResult {
  /** By topic. */
  sent: Record<string, number>;
  /** Longer than the topic takes now; they stay as they are. */
  notSent: Refusal<LetterOf>[];
}

/** A crash can be put between any two steps of a batch, by tests. */
export type ReplayStep = 'settled' | 'begun' | 'sent' | 'before commit' | 'committed' | 'marked';
export type OnReplayStep = (step: ReplayStep) => void | Promise<void>;

/** A topic that dead letters came from is no longer there. */
export class TopicGoneError extends Error {
  override readonly name = 'TopicGoneError';
  constructor(topics: readonly string[]) {
    super(
      `Kafka no longer has ${topics.join(', ')}, where dead letters came from; choose others with --topic. Nothing was sent`,
    );
  }
}

/** Another run sends dead letters of this database. */
export class ReplayRunningError extends Error {
  override readonly name = 'ReplayRunningError';
  constructor() {
    super('Another "whence dlq replay" of this database is under way; wait until it has ended. Nothing was sent');
  }
}

/** Kafka failed within a batch. */
export class ReplayFailedError extends Error {
  override readonly name = 'ReplayFailedError';
  constructor(sent: number, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(
      `Kafka failed after ${sent} records (${reason}). Run the same again once it is well: it finds out what was sent, ` +
        'and sends nothing twice',
      { cause },
    );
  }
}

/** Any number that nothing else in the database locks. */
const ADVISORY_LOCK = 8_234_950_128;
const LOCK_WAIT_MS = 10_000;
/** An open transaction of a run that was killed holds back whoever reads the partition, at most this long. */
const TRANSACTION_MS = 30_000;
const MARKER_TRIES = 3;
const MARKER_PAUSE_MS = 500;

/**
 * Sends dead letters again to the topic and partition that they came from, with the key and the bytes that they had, each
 * exactly once (docs/decisions/0016-dead-letter-replay.md): a batch is one transaction of Kafka, with a marker in it by which
 * whoever comes after a crash finds out whether it was sent.
 *
 * @throws TopicGoneError and ReplayRunningError before anything is sent, ReplayFailedError
 */
export async function replayDeadLetters(
  pool: Pool,
  kafka: Kafka,
  filter: DeadLetterFilter,
  onStep: OnReplayStep = () => {},
): Promise<ReplayResult> {
  // The lock is the connection's: whoever has lost it can write nothing more, since everything is done on that connection.
  const client = await pool.connect();
  try {
    await lock(client);
    const name = await findGroupId(client, 'whence-replay');
    const producer = createProducer(kafka, {
      idempotent: true,
      maxInFlightRequests: 1,
      transactionalId: name,
      transactionTimeout: TRANSACTION_MS,
    });
    await producer.connect();
    try {
      await settle(client, kafka, producer, name);
      await onStep('settled');
      return await replayAll(client, kafka, producer, name, filter, onStep);
    } finally {
      await producer.disconnect();
    }
  } finally {
    client.release(true);
  }
}

async function lock(client: Queryable): Promise<void> {
  await client.query(`set lock_timeout to ${LOCK_WAIT_MS}`);
  try {
    // A run that was killed holds it for a moment.
    await client.query('select pg_advisory_lock($1)', [ADVISORY_LOCK]);
  } catch (error) {
    if (isLocked(error)) throw new ReplayRunningError();
    throw error;
  }
  await client.query('set lock_timeout to 0');
}

/** Ends what a former run left: its open transaction is settled and it can commit none, then its marker tells. */
async function settle(client: Queryable, kafka: Kafka, producer: Producer, group: string): Promise<void> {
  // The first transaction of a producer takes over the transactional id.
  await (await producer.transaction()).abort();
  const doubt = await findReplayInDoubt(client);
  if (doubt === null) return;
  if (await hasMarker(kafka, group, doubt)) await markReplay(client, doubt.replay);
  else await undoReplay(client, doubt.replay);
}

async function hasMarker(kafka: Kafka, group: string, { replay, topic }: ReplayBatch): Promise<boolean> {
  return withAdmin(kafka, async (admin) => {
    // Where the topic is gone, so is what was sent there.
    if (!(await admin.listTopics()).includes(topic)) return false;
    // A coordinator may show the offset a moment after the transaction has ended.
    for (let tries = 1; ; tries++) {
      const [found] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
      if (found.partitions.some(({ partition, offset }) => partition === 0 && Number(offset) === replay)) return true;
      if (tries === MARKER_TRIES) return false;
      await sleep(MARKER_PAUSE_MS);
    }
  });
}

async function replayAll(
  client: Queryable,
  kafka: Kafka,
  producer: Producer,
  group: string,
  filter: DeadLetterFilter,
  onStep: OnReplayStep,
): Promise<ReplayResult> {
  const { topics, last } = await scopeOf(client, filter);
  const partitions = await partitionsOf(kafka, topics);
  const sent: Record<string, number> = {};
  const notSent: Refusal<LetterOf>[] = [];
  // What comes back meanwhile keeps its id: it waits for the next run.
  let marker: Marker | null = null;
  for (let after = 0; ;) {
    const batch = await beginReplay(client, filter, after, last);
    if (batch === null) break;
    marker = markerOf(group, batch);
    await onStep('begun');
    const outbox = await sendBatch(client, producer, group, partitions, batch, onStep).catch((error: unknown) => {
      const before = Object.values(sent).reduce((sum, count) => sum + count, 0);
      throw new ReplayFailedError(before, error instanceof SendFailedError ? error.cause : error);
    });
    await onStep('committed');
    await markReplay(client, batch.replay);
    await onStep('marked');
    for (const [topic, count] of outbox.sent) sent[topic] = (sent[topic] ?? 0) + count;
    notSent.push(...outbox.refused);
    after = batch.letters.at(-1)?.id ?? last;
  }
  if (marker !== null) await untilVisible(producer, marker);
  return { sent, notSent };
}

type Marker = Parameters<Transaction['sendOffsets']>[0];

function markerOf(consumerGroupId: string, { replay, topic }: ReplayBatch): Marker {
  return { consumerGroupId, topics: [{ topic, partitions: [{ partition: 0, offset: String(replay) }] }] };
}

/**
 * Kafka answers a commit before the partitions know of it, and takes no new transaction of this producer until all do. Whoever
 * reads to the end of the log after a replay must find what it sent.
 */
async function untilVisible(producer: Producer, marker: Marker): Promise<void> {
  const attempt = async () => {
    const transaction = await producer.transaction();
    try {
      await transaction.sendOffsets(marker);
    } finally {
      await transaction.abort();
    }
  };
  const shouldRetry = ({ error }: { error: unknown }) =>
    (error as { type?: string }).type === 'CONCURRENT_TRANSACTIONS';
  // All is sent and marked: what fails now only makes it visible later.
  await pRetry(attempt, { retries: 60, minTimeout: 20, maxTimeout: 500, shouldRetry }).catch(() => {});
}

/** Where it fails, the batch stays in doubt: the next run settles it. */
async function sendBatch(
  client: Queryable,
  producer: Producer,
  group: string,
  partitions: ReadonlyMap<string, PartitionMetadata[]>,
  batch: BegunBatch,
  onStep: OnReplayStep,
): Promise<Outbox<LetterOf>> {
  const { replay, token, letters } = batch;
  const transaction = await producer.transaction();
  try {
    const outbox = new Outbox<LetterOf>(transaction, partitions, kafkajs.CompressionTypes.LZ4);
    for (const { id, topic, partition, offset, key, value } of letters) {
      // Events of a profile must stay together, and whoever produced them decided where. Where that partition is no
      // longer there, the key decides.
      const isThere = partitions.get(topic)?.some(({ partitionId }) => partitionId === partition) ?? false;
      const headers = {
        [LETTER_HEADER]: letterHeader({ token, letter: id }),
        'whence.topic': topic,
        'whence.partition': String(partition),
        'whence.offset': String(offset),
      };
      const source = { id, topic, partition };
      outbox.add({ topic, ...(isThere && { partition }), key, value, headers, source });
    }
    await outbox.settle();
    await onStep('sent');
    // Before the commit, which decides about all letters that are in the batch then.
    await takeOut(
      client,
      replay,
      outbox.refused.map(({ source }) => source.id),
    );
    await transaction.sendOffsets(markerOf(group, batch));
    await onStep('before commit');
    await transaction.commit();
    return outbox;
  } catch (error) {
    if (transaction.isActive()) await transaction.abort().catch(() => {});
    throw error;
  }
}

async function scopeOf(database: Queryable, filter: DeadLetterFilter): Promise<{ topics: string[]; last: number }> {
  const { where, values } = conditionOf(filter);
  const { rows } = await database.query<{ topics: string[]; last: number }>(
    `select coalesce(array_agg(distinct topic), '{}') as topics, coalesce(max(id), 0) as last
     from whence.dead_letters where ${where}`,
    values,
  );
  return rows[0];
}

async function partitionsOf(
  kafka: Kafka,
  topics: readonly string[],
): Promise<ReadonlyMap<string, PartitionMetadata[]>> {
  if (topics.length === 0) return new Map();
  return withAdmin(kafka, async (admin) => {
    const known = new Set(await admin.listTopics());
    const gone = topics.filter((topic) => !known.has(topic));
    if (gone.length > 0) throw new TopicGoneError(gone);
    const metadata = await admin.fetchTopicMetadata({ topics: [...topics] });
    return new Map(metadata.topics.map(({ name, partitions }) => [name, partitions]));
  });
}
