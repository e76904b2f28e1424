import type { Queryable } from '../../platform/postgres.ts';
import type { CommittingAttempt } from '../commit-attempt.ts';
import { ANALYZED_FROM, analyzePlays, PLAY_COLUMNS } from './play-columns.ts';

export async function addVersion(
  database: Queryable,
  { parent, cause, actor, positions, watermark, copies, dirty_keys }: CommittingAttempt,
  version: number,
): Promise<void> {
  await database.query(
    `insert into whence.batch_versions
       (version, parent, cause, actor, positions, watermark, copies, days_changed, plays_changed, dirty_keys)
     values ($1, $2, $3, $4, $5, $6, $7, 0, 0, $8)`,
    [version, parent, cause, actor, JSON.stringify(positions), watermark, copies, dirty_keys],
  );
}

/** Ends the plays of `closing` and begins those of `adding`. @returns how many plays are others now */
export async function writeChanges(database: Queryable, version: number): Promise<number> {
  const { rows } = await database.query<{ n: number }>(
    'select count(*) as n from (select play_id from adding union select play_id from closing) c',
  );
  await database.query(
    `update whence.batch_plays b set to_version = $1 from closing c where b.play_id = c.play_id and b.to_version is null`,
    [version],
  );
  const columns = PLAY_COLUMNS.join(', ');
  await database.query(
    `insert into whence.batch_plays (from_version, ${columns}) select $1::bigint, ${columns} from adding`,
    [version],
  );
  // What follows, and the first readers, must not be planned for the table as it was: empty, at first.
  if (rows[0].n > ANALYZED_FROM) await analyzePlays(database, 'whence.batch_plays', ['from_version', 'to_version']);
  return rows[0].n;
}

/** Makes the version current. */
export async function moveHead(
  database: Queryable,
  { positions, watermark }: CommittingAttempt,
  version: number,
  gapMs: number,
  finalAfterMs: number,
): Promise<void> {
  await database.query(
    `insert into whence.batch_head (version, watermark, stitching_gap, final_after, settled)
     values ($1, $2, make_interval(secs => $3), make_interval(secs => $4), $1)
     on conflict (one_row) do update set version = excluded.version, watermark = excluded.watermark,
       stitching_gap = excluded.stitching_gap, final_after = excluded.final_after,
       settled = excluded.settled`,
    [version, watermark, gapMs / 1000, finalAfterMs / 1000],
  );
  await database.query(
    `insert into whence.batch_horizons as h (topic, partition, next_offset)
     select topic, partition, next from jsonb_to_recordset($1) p (topic text, partition integer, next bigint)
     on conflict (topic, partition) do update set next_offset = excluded.next_offset`,
    [JSON.stringify(positions)],
  );
}

/**
 * Gives the days asked for, and the covered days that a changed play has an event in, this version as their generation.
 *
 * @returns how many days that are, and the plays of those asked for
 */
export async function coverDays(
  database: Queryable,
  { days, policy }: CommittingAttempt,
  version: number,
): Promise<{ changed: number; plays: number }> {
  await database.query(
    `create temp table changed_days on commit drop as
     select unnest($1::date[]) as day, $2::text as policy
     union
     select c.day, c.policy
     from (
       select b.day, (b.ended_at at time zone 'UTC')::date as end_day from whence.batch_plays b
       where b.from_version = $3 or b.to_version = $3
     ) p
     join whence.batch_days c on c.day between p.day and p.end_day
     where c.to_version is null and c.day <> all ($1::date[])`,
    [days, policy, version],
  );
  await database.query(
    `update whence.batch_days d set to_version = $1 from changed_days c where d.day = c.day and d.to_version is null`,
    [version],
  );
  const { rows } = await database.query<{ changed: number; plays: number }>(
    `with covered as (
       insert into whence.batch_days (day, from_version, generation, policy, plays)
       select c.day, $1, $1, c.policy,
         (select count(*) from whence.batch_plays b where b.to_version is null and b.day = c.day)
       from changed_days c
       returning day, plays
     )
     select count(*) as changed, coalesce(sum(plays) filter (where day = any ($2::date[])), 0)::bigint as plays from covered`,
    [version, days],
  );
  return rows[0];
}
