import type { Queryable } from '../../platform/postgres.ts';
import type { TouchedKey } from '../task-state.ts';

/** Discovery and the daily rollup follow the plays of the touched keys, in the transaction that changed these. */

const SOURCE = ['surface', 'class', 'row_type', 'row_id', 'row_rank', 'position', 'impression_id', 'evidence'];
const keysOf = (touched: readonly TouchedKey[]) => [touched.map((t) => t.profile_id), touched.map((t) => t.work_id)];

/** What the plays of some keys add to the rollup. */
export interface DailyShare {
  day: string;
  country: string;
  sod_surface: string;
  sod_row_type: string | null;
  plays: number;
  qualified_plays: number;
  discoveries: number;
  watched_ms: number;
}

/** The shares of all plays of the touched keys as they stand now, by day, country and row. */
export async function dailyShares(database: Queryable, touched: readonly TouchedKey[]): Promise<DailyShare[]> {
  const { rows } = await database.query<DailyShare>(
    `select p.day, p.country, p.sod_surface, p.sod_row_type, count(*) as plays,
       count(*) filter (where p.qualified) as qualified_plays, count(*) filter (where p.is_discovery) as discoveries,
       sum(p.watched_ms)::bigint as watched_ms
     from unnest($1::text[], $2::text[]) as t (profile_id, work_id)
     join whence.plays p using (profile_id, work_id)
     group by 1, 2, 3, 4`,
    keysOf(touched),
  );
  return rows;
}

/** Makes the earliest qualified play of each touched key its discovery; keys without one have none. */
export async function settleDiscoveries(database: Queryable, touched: readonly TouchedKey[]): Promise<void> {
  const sod = SOURCE.map((name) => `sod_${name}`);
  await database.query(
    `with touched as (
       select * from unnest($1::text[], $2::text[]) as t (profile_id, work_id)
     ), found as (
       select f.* from touched t
       cross join lateral (
         select p.profile_id, p.work_id, p.play_id, p.started_at, ${SOURCE.map((name) => `p.own_${name}`).join(', ')},
           p.own_assisted
         from whence.speed_plays p
         where p.profile_id = t.profile_id and p.work_id = t.work_id and p.qualified
         order by p.started_at
         limit 1
       ) f
     ), gone as (
       delete from whence.speed_discoveries d using touched t
       where d.profile_id = t.profile_id and d.work_id = t.work_id
         and not exists (select from found f where f.profile_id = d.profile_id and f.work_id = d.work_id)
     )
     insert into whence.speed_discoveries
       (profile_id, work_id, play_id, discovered_at, ${sod.join(', ')}, assisted)
     select * from found
     on conflict (profile_id, work_id) do update set
       play_id = excluded.play_id, discovered_at = excluded.discovered_at, assisted = excluded.assisted,
       ${sod.map((name) => `${name} = excluded.${name}`).join(', ')}`,
    keysOf(touched),
  );
}

/** Adds what the touched keys add now, less what they added before. */
export async function moveDaily(
  database: Queryable,
  task: number,
  before: readonly DailyShare[],
  after: readonly DailyShare[],
): Promise<void> {
  const moved = difference(before, after);
  if (moved.length === 0) return;
  await database.query(
    `insert into whence.speed_daily as d
     select $1, m.* from json_to_recordset($2) as m (
       day date, country text, sod_surface text, sod_row_type text, plays bigint, qualified_plays bigint,
       discoveries bigint, watched_ms bigint
     )
     on conflict (task, day, country, sod_surface, sod_row_type) do update set
       plays = d.plays + excluded.plays, qualified_plays = d.qualified_plays + excluded.qualified_plays,
       discoveries = d.discoveries + excluded.discoveries, watched_ms = d.watched_ms + excluded.watched_ms`,
    [task, JSON.stringify(moved)],
  );
}

function difference(before: readonly DailyShare[], after: readonly DailyShare[]): DailyShare[] {
  const moved = new Map<string, DailyShare>();
  const add = (share: DailyShare, sign: 1 | -1) => {
    const { day, country, sod_surface, sod_row_type } = share;
    const group = JSON.stringify([day, country, sod_surface, sod_row_type]);
    const sum = moved.get(group);
    moved.set(group, {
      day,
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
