import kafkajs, { type Kafka, type PartitionMetadata } from 'kafkajs';
import { conditionOf, type DeadLetterFilter } from '../observe/dead-letters.ts';
import { createProducer, withAdmin } from '../platform/kafka.ts';
import { withTransaction, type Pool } from '../platform/postgres.ts';
import { Outbox, type Refusal } from './outbox.ts';

interface Letter {
  id: number;
  topic: string;
  partition: number;
  key: Buffer | null;
  value: Buffer | null;
}

/** The place that a dead letter came from. */
export type LetterOf = Pick<Letter, 'id' | 'topic' | 'partition'>;

export interface ReplayResult {
  /** By topic. */
  sent: Record<string, number>;
  /** Longer than the topic takes now; they stay as they are. */
  notSent: Refusal<LetterOf>[];
}

/** A topic that dead letters came from is no longer there. */
export class TopicGoneError extends Error {
  override readonly name = 'TopicGoneError';
  constructor(topics: readonly string[]) {
    super(
      `Kafka no longer has ${topics.join(', ')}, where dead letters came from; choose others with --topic. Nothing was sent`,
    );
  }
}

const AT_A_TIME = 200;

/**
 * Sends dead letters again to the topic and partition that they came from, with the key and the bytes that they had, each
 * once: rows are locked while they are sent, and marked in the same transaction. Where that transaction is lost after Kafka
 * took them (a kill, a lost connection), the next replay sends them again: none is missed, and the stream recognises the
 * second as a copy of the first. What is still wrong with a record makes a new dead letter of it.
 *
 * @throws TopicGoneError before anything is sent, SendFailedError
 */
export async function replayDeadLetters(pool: Pool, kafka: Kafka, filter: DeadLetterFilter): Promise<ReplayResult> {
  const { topics, last } = await scopeOf(pool, filter);
  const partitions = await partitionsOf(kafka, topics);
  const producer = createProducer(kafka, { idempotent: true });
  await producer.connect();
  try {
    const outbox = new Outbox<LetterOf>(producer, partitions, kafkajs.CompressionTypes.LZ4);
    // What is dead-lettered again meanwhile has a greater id: it waits for the next replay.
    for (let id: number | null = 0; id !== null;) id = await replaySome(pool, outbox, partitions, filter, id, last);
    return { sent: Object.fromEntries(outbox.sent), notSent: outbox.refused };
  } finally {
    await producer.disconnect();
  }
}

async function scopeOf(pool: Pool, filter: DeadLetterFilter): Promise<{ topics: string[]; last: number }> {
  const { where, values } = conditionOf(filter);
  const { rows } = await pool.query<{ topics: string[]; last: number }>(
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

/** @returns the id of the last letter looked at, null where there was none left */
async function replaySome(
  pool: Pool,
  outbox: Outbox<LetterOf>,
  partitions: ReadonlyMap<string, PartitionMetadata[]>,
  filter: DeadLetterFilter,
  after: number,
  last: number,
): Promise<number | null> {
  const { where, values } = conditionOf(filter);
  const [from, to] = [values.length + 1, values.length + 2];
  return withTransaction(pool, async (client) => {
    const { rows } = await client.query<Letter>(
      `select id, topic, partition, key, value from whence.dead_letters
       where ${where} and id > $${from} and id <= $${to} order by id limit ${AT_A_TIME} for update`,
      [...values, after, last],
    );
    for (const { id, topic, partition, key, value } of rows) {
      // Events of a profile must stay together, and whoever produced them decided where. Where that partition is no
      // longer there, the key decides.
      const isThere = partitions.get(topic)?.some(({ partitionId }) => partitionId === partition) ?? false;
      outbox.add({ topic, ...(isThere && { partition }), key, value, source: { id, topic, partition } });
    }
    await outbox.settle();
    const refused = new Set(outbox.refused.map(({ source }) => source.id));
    const sent = rows.map(({ id }) => id).filter((id) => !refused.has(id));
    await client.query('update whence.dead_letters set replayed_at = now() where id = any($1)', [sent]);
    return rows.at(-1)?.id ?? null;
  });
}
