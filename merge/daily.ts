import { prepared, type Queryable } from '../platform/postgres.ts';
import type { StatementRunner } from '../platform/statements.ts';
import { type KeySet, playsOfKeys } from './keys.ts';

/** What the plays of some keys add to the daily rollup. */
export interface DailyShare {
  day: string;
  layer: string;
  country: string;
  sod_surface: string;
  sod_row_type: string | null;
  plays: number;
  qualified_plays: number;
  discoveries: number;
  watched_ms: number;
}

export interface KeyShare extends DailyShare {
  profile_id: string;
  work_id: string;
}

const GROUP = 'day, layer, country, sod_surface, sod_row_type';
const COUNTS = ['plays', 'qualified_plays', 'discoveries', 'watched_ms'] as const;
const SHARE = `count(*) as plays, count(*) filter (where p.qualified) as qualified_plays,
  count(*) filter (where p.is_discovery) as discoveries, sum(p.watched_ms)::bigint as watched_ms`;

/** The shares of all served plays of some keys as they stand now, by day, layer, country and row. */
export async function dailyShares(database: StatementRunner, keys: KeySet): Promise<DailyShare[]> {
  const { rows } = await database.query<DailyShare>(
    prepared(
      `select p.day, p.layer, p.country, p.sod_surface, p.sod_row_type, ${SHARE}
       from ${playsOfKeys(keys, 'plays')}
       group by 1, 2, 3, 4, 5`,
      keys.parameters,
    ),
  );
  return rows;
}

/** The same by key, as a query. */
export function sharesByKey(keys: KeySet): string {
  return sharesByKeyOf(playsOfKeys(keys, 'plays'));
}

/** What of a served play is needed for its shares. */
export const SHARED_BY = [
  ['profile_id', 'work_id', 'play_id', 'day', 'layer', 'country', 'started_at'],
  ['qualified', 'watched_ms', 'own_surface', 'own_row_type'],
].flat();

/** The same of served plays that somebody has ready in a table, with their discoveries as the view `plays` has them. */
export function sharesByKeyIn(served: string): string {
  return sharesByKeyOf(`(
    select o.*, coalesce(d.play_id = o.play_id, false) as is_discovery,
      case when d.play_id is null then o.own_surface else d.sod_surface end as sod_surface,
      case when d.play_id is null then o.own_row_type else d.sod_row_type end as sod_row_type
    from ${served} o
    left join lateral (
      select k.* from whence.key_discoveries k where k.profile_id = o.profile_id and k.work_id = o.work_id
      order by k.settled desc, k.by_batch limit 1
    ) d on d.play_id is not null and d.discovered_at <= o.started_at
  ) p`);
}

function sharesByKeyOf(plays: string): string {
  return `
    select p.profile_id, p.work_id, p.day, p.layer, p.country, p.sod_surface, p.sod_row_type, ${SHARE}
    from ${plays}
    group by 1, 2, 3, 4, 5, 6, 7`;
}

/** The sums of what `sharesByKey` gave, in a table. */
export async function sumShares(database: Queryable, table: string): Promise<DailyShare[]> {
  const { rows } = await database.query<DailyShare>(
    `select ${GROUP}, ${COUNTS.map((name) => `sum(${name})::bigint as ${name}`).join(', ')} from ${table} group by ${GROUP}`,
  );
  return rows;
}

/** By how much the rollup is to be moved. */
export class DailyMove {
  readonly #sums = new Map<string, DailyShare>();

  add(shares: readonly DailyShare[], sign: 1 | -1): this {
    for (const share of shares) {
      const { day, layer, country, sod_surface, sod_row_type } = share;
      const group = JSON.stringify([day, layer, country, sod_surface, sod_row_type]);
      let sum = this.#sums.get(group);
      if (sum === undefined) {
        sum = {
          day,
          layer,
          country,
          sod_surface,
          sod_row_type,
          plays: 0,
          qualified_plays: 0,
          discoveries: 0,
          watched_ms: 0,
        };
        this.#sums.set(group, sum);
      }
      for (const name of COUNTS) sum[name] += sign * share[name];
    }
    return this;
  }

  get shares(): DailyShare[] {
    return [...this.#sums.values()].filter((sum) => COUNTS.some((name) => sum[name] !== 0));
  }
}

/**
 * Adds what some keys add now, less what they added before.
 *
 * @param writer who writes: a task of the speed layer, `BATCH_WRITER`
 */
export async function moveDaily(database: StatementRunner, writer: number, move: DailyMove): Promise<void> {
  const moved = move.shares;
  if (moved.length === 0) return;
  await database.query(
    prepared(
      `insert into whence.daily_shares as d
       (writer, day, layer, country, sod_surface, sod_row_type, plays, qualified_plays, discoveries, watched_ms)
     select $1, m.* from json_to_recordset($2) as m (
       day date, layer text, country text, sod_surface text, sod_row_type text, plays bigint, qualified_plays bigint,
       discoveries bigint, watched_ms bigint
     )
     on conflict (writer, day, layer, country, sod_surface, sod_row_type) do update set
       plays = d.plays + excluded.plays, qualified_plays = d.qualified_plays + excluded.qualified_plays,
       discoveries = d.discoveries + excluded.discoveries, watched_ms = d.watched_ms + excluded.watched_ms`,
      [writer, JSON.stringify(moved)],
    ),
  );
}

/** The batch layer among the writers of the rollup. */
export const BATCH_WRITER = -1;
