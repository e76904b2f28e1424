import type { Queryable } from '../platform/postgres.ts';

/** Which dead letters; all where nothing is given. */
export interface DeadLetterFilter {
  reason?: string;
  topic?: string;
  /** UTC day of the event, or of the Kafka timestamp where the record has none: YYYY-MM-DD. */
  day?: string;
  /** Only those that were not sent again yet. */
  notReplayed?: boolean;
}

export interface DeadLetter {
  id: number;
  topic: string;
  partition: number;
  offset: number;
  day: string;
  reason: string;
  field: string | null;
  message: string;
  key: Buffer | null;
  value: Buffer | null;
  stamped_at: Date;
  relayed_at: Date | null;
  replayed_at: Date | null;
}

/** The condition of a filter for `where`, with its parameters from $1 on. */
export function conditionOf({ reason, topic, day, notReplayed }: DeadLetterFilter): {
  where: string;
  values: string[];
} {
  const wanted = Object.entries({ reason, topic, day }).filter((entry): entry is [string, string] => !!entry[1]);
  const conditions = wanted.map(([column], i) => `${column} = $${i + 1}`);
  if (notReplayed) conditions.push('replayed_at is null');
  return { where: conditions.join(' and ') || 'true', values: wanted.map(([, value]) => value) };
}

/** The latest ones first. */
export async function listDeadLetters(
  database: Queryable,
  filter: DeadLetterFilter,
  limit: number,
): Promise<DeadLetter[]> {
  const { where, values } = conditionOf(filter);
  const { rows } = await database.query<DeadLetter>(
    `select id, topic, partition, "offset", day, reason, field, message, key, value, stamped_at, relayed_at, replayed_at
     from whence.dead_letters where ${where} order by id desc limit $${values.length + 1}`,
    [...values, limit],
  );
  return rows;
}

export interface ReasonCount {
  reason: string;
  field: string | null;
  count: number;
  replayed: number;
}

/** How many there are of each reason and field, the most frequent first. */
export async function countDeadLetters(database: Queryable, filter: DeadLetterFilter): Promise<ReasonCount[]> {
  const { where, values } = conditionOf(filter);
  const { rows } = await database.query<ReasonCount>(
    `select reason, field, count(*) as count, count(replayed_at) as replayed
     from whence.dead_letters where ${where} group by 1, 2 order by 3 desc, 1, 2`,
    values,
  );
  return rows;
}
