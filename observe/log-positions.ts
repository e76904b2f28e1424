import type { Admin } from 'kafkajs';
import { selectTopics } from '../platform/kafka.ts';
import type { Queryable } from '../platform/postgres.ts';
import type { TopicSelector } from '../platform/settings.ts';
import { fetchBounds } from '../streaming/topics.ts';

/** One partition of a topic: what Kafka holds, what the stream has committed and counted. */
export interface LogPosition {
  topic: string;
  partition: number;
  /** The next offset to read. */
  committed: number;
  /** By the ledger. */
  consumed: number;
  /** Kafka's: where the log begins now, and its end. Null where Kafka was not asked, or has no such partition. */
  log_begins: number | null;
  delivered: number | null;
  lag: number | null;
}

/** What the stream has read, by Postgres alone: offsets and ledger of one moment. */
export async function readPositions(database: Queryable): Promise<LogPosition[]> {
  const { rows } = await database.query<Pick<LogPosition, 'topic' | 'partition' | 'committed' | 'consumed'>>(
    `with counted as (
       select topic, partition, sum(consumed)::bigint as consumed from whence.ledger group by 1, 2
     ), committed as (
       select o.key as topic, t.task as partition, (o.value ->> 'next')::bigint as committed
       from whence.speed_tasks t cross join lateral jsonb_each(t.offsets) o
     )
     select topic, partition, coalesce(committed, 0) as committed, coalesce(consumed, 0) as consumed
     from committed full join counted using (topic, partition)
     order by topic collate "C", partition`,
  );
  return rows.map((row) => ({ ...row, log_begins: null, delivered: null, lag: null }));
}

/** Adds what Kafka says of these positions, and the partitions of the chosen topics that were not read yet. */
export async function withLogBounds(
  positions: readonly LogPosition[],
  admin: Admin,
  selectors: readonly TopicSelector[],
): Promise<LogPosition[]> {
  const known = await admin.listTopics();
  const wanted = new Set([...selectTopics(selectors, known), ...positions.map(({ topic }) => topic)]);
  const bounds = await fetchBounds(
    admin,
    known.filter((topic) => wanted.has(topic)),
  );
  const read = new Set(positions.map(({ topic, partition }) => `${topic}/${partition}`));
  const unread = [...bounds].flatMap(([topic, partitions]) =>
    [...partitions.keys()]
      .filter((partition) => !read.has(`${topic}/${partition}`))
      .map((partition) => ({
        topic,
        partition,
        committed: 0,
        consumed: 0,
        log_begins: null,
        delivered: null,
        lag: null,
      })),
  );
  return [...positions, ...unread]
    .map((position) => {
      const log = bounds.get(position.topic)?.[position.partition];
      if (log === undefined) return position;
      // What was deleted before it was ever read is no lag: nobody can read it.
      const lag = Math.max(0, log.next - Math.max(position.committed, log.earliest));
      return { ...position, log_begins: log.earliest, delivered: log.next, lag };
    })
    .sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1));
}
