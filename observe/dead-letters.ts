import type { Queryable } from '../platform/postgres.ts';

/** Which dead letters; all where nothing is given. */
export interface DeadLetterFilter {
  reason?: string;
  topic?: string;
  /** UTC day of the event, or of the Kafka timestamp where the record has none: YYYY-MM-DD. */
  day?: string;
  /** The same, both ends included. */
  from?: string;
  to?: string;
  partition?: number;
  /** The field that is wrong: `event_time`, `origin.surface`, … */
  field?: string;
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
  /** How often it was sent again and came back, still wrong. */
  replays: number;
}

/** How each part of a filter reads in SQL. */
const COMPARISONS = {
  reason: 'reason =',
  topic: 'topic =',
  day: 'day =',
  from: 'day >=',
  to: 'day <=',
  partition: 'partition =',
  field: 'field =',
} as const;

/** The condition of a filter for `where`, with its parameters from $1 on. */
export function conditionOf({ notReplayed, ...filter }: DeadLetterFilter): {
  where: string;
  values: (string | number)[];
} {
  const conditions: string[] = [];
  const values: (string | number)[] = [];
  for (const [name, comparison] of Object.entries(COMPARISONS)) {
    const value = filter[name as keyof typeof COMPARISONS];
    if (value === undefined || value === '') continue;
    values.push(value);
    conditions.push(`${comparison} $${values.length}`);
  }
  if (notReplayed) conditions.push('replayed_at is null');
  return { where: conditions.join(' and ') || 'true', values };
}

/** The latest ones first. */
export async function listDeadLetters(
  database: Queryable,
  filter: DeadLetterFilter,
  limit: number,
): Promise<DeadLetter[]> {
  const { where, values } = conditionOf(filter);
  const { rows } = await database.query<DeadLetter>(
    `select id, topic, partition, "offset", day, reason, field, message, key, value, stamped_at, relayed_at, replayed_at,
       replays
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

/** One dead letter, null where there is none of this id. */
export async function findDeadLetter(database: Queryable, id: number): Promise<DeadLetter | null> {
  const { rows } = await database.query<DeadLetter>(
    `select id, topic, partition, "offset", day, reason, field, message, key, value, stamped_at, relayed_at, replayed_at,
       replays
     from whence.dead_letters where id = $1`,
    [id],
  );
  return rows[0] ?? null;
}

export interface PlaceCount {
  topic: string;
  day: string;
  reason: string;
  count: number;
  not_replayed: number;
}

/** How many there are by topic, day and reason. */
export async function countByPlace(database: Queryable, filter: DeadLetterFilter): Promise<PlaceCount[]> {
  const { where, values } = conditionOf(filter);
  const { rows } = await database.query<PlaceCount>(
    `select topic, day, reason, count(*) as count, count(*) filter (where replayed_at is null) as not_replayed
     from whence.dead_letters where ${where} group by 1, 2, 3 order by topic collate "C", day, reason`,
    values,
  );
  return rows;
}
