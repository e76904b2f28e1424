import { arrayText } from '../platform/array-text.ts';
import type { Queryable } from '../platform/postgres.ts';

/** Some keys, as a piece of SQL that gives rows (profile_id, work_id), each key once, and its parameters $1, $2 … */
export interface KeySet {
  sql: string;
  parameters: readonly unknown[];
  /** Whether their plays are a good part of all there are. */
  many: boolean;
}

export function keySetOf(keys: readonly { profile_id: string; work_id: string }[], many = false): KeySet {
  return {
    sql: 'unnest($1::text[], $2::text[]) as k (profile_id, work_id)',
    // Several statements take them.
    parameters: [arrayText(keys.map((key) => key.profile_id)), arrayText(keys.map((key) => key.work_id))],
    many,
  };
}

/** @param table with columns profile_id and work_id */
export function keySetIn(table: string, many: boolean): KeySet {
  return { sql: `${table} as k`, parameters: [], many };
}

/**
 * The plays of some keys, as `p`, from a view of plays: of few keys one by one (which is what OFFSET is for), of many by reading all
 * the plays there are. The planner would always do that: it cannot look up a key in a view that unites two tables.
 */
export function playsOfKeys(keys: KeySet, view: 'plays' | 'served_plays'): string {
  if (keys.many) return `${keys.sql} join whence.${view} p on p.profile_id = k.profile_id and p.work_id = k.work_id`;
  return `${keys.sql} cross join lateral (
    select * from whence.${view} o where o.profile_id = k.profile_id and o.work_id = k.work_id offset 0
  ) p`;
}

/** Looking up the plays of a key takes about as long as reading so many plays one after the other. */
const PLAYS_READ_FOR_A_LOOKUP = 6;

/**
 * Whether the plays of so many keys are a good part of all there are: by the last analysis of the tables, or by what was written
 * since, for one that grows fast has none of late.
 */
export async function areMany(database: Queryable, keys: number): Promise<boolean> {
  const { rows } = await database.query<{ plays: number }>(
    `select sum(greatest(reltuples, pg_stat_get_live_tuples(oid), 0))::bigint as plays from pg_class
     where oid in ('whence.batch_plays'::regclass, 'whence.speed_plays'::regclass)`,
  );
  return keys * PLAYS_READ_FOR_A_LOOKUP > rows[0].plays;
}
