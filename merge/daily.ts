import type { Queryable } from '../platform/postgres.ts';
import type { KeySet } from './keys.ts';

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

/** The shares of all served plays of some keys as they stand now, by day, layer, country and row. */
export async function dailyShares(database: Queryable, keys: KeySet): Promise<DailyShare[]> {
  const { rows } = await database.query<DailyShare>(
    `select p.day, p.layer, p.country, p.sod_surface, p.sod_row_type, count(*) as plays,
       count(*) filter (where p.qualified) as qualified_plays, count(*) filter (where p.is_discovery) as discoveries,
       sum(p.watched_ms)::bigint as watched_ms
     from ${keys.sql}
     join whence.plays p using (profile_id, work_id)
     group by 1, 2, 3, 4, 5`,
    [...keys.parameters],
  );
  return rows;
}

/**
 * Adds what some keys add now, less what they added before.
 *
 * @param writer who writes: a task of the speed layer, `BATCH_WRITER`
 */
export async function moveDaily(
  database: Queryable,
  writer: number,
  before: readonly DailyShare[],
  after: readonly DailyShare[],
): Promise<void> {
  const moved = difference(before, after);
  if (moved.length === 0) return;
  await database.query(
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
  );
}

/** The batch layer among the writers of the rollup. */
export const BATCH_WRITER = -1;

function difference(before: readonly DailyShare[], after: readonly DailyShare[]): DailyShare[] {
  const moved = new Map<string, DailyShare>();
  const add = (share: DailyShare, sign: 1 | -1) => {
    const { day, layer, country, sod_surface, sod_row_type } = share;
    const group = JSON.stringify([day, layer, country, sod_surface, sod_row_type]);
    const sum = moved.get(group);
    moved.set(group, {
      day,
      layer,
      country,
      sod_surface,
      sod_row_type,
      plays: (sum?.plays ?? 0) + sign * share.plays,
      qualified_plays: (sum?.qualified_plays ?? 0) + sign * share.qualified_plays,
      discoveries: (sum?.discoveries ?? 0) + sign * share.discoveries,
      watched_ms: (sum?.watched_ms ?? 0) + sign * share.watched_ms,
    });
  };
  before.forEach((share) => add(share, -1));
  after.forEach((share) => add(share, 1));
  return [...moved.values()].filter((m) => m.plays || m.qualified_plays || m.discoveries || m.watched_ms);
}
