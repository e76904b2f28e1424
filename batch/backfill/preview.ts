import { type Queryable, withTransaction } from '../../platform/postgres.ts';
import type { BatchDeps } from '../advance.ts';
import { AttemptGoneError, CommitLostError } from '../errors.ts';
import { findChanges } from '../sql/changes.ts';

/** Plays of a country that change in one way. Rows are those of the play's own candidate. */
export interface PreviewChange {
  country: string;
  change: 'new' | 'removed' | 'moved' | 'other';
  from_row: string | null;
  to_row: string | null;
  plays: number;
  examples: { play_id: string; profile_id: string; work_id: string; day: string }[];
}

export interface PreviewSummary {
  /** The version that it was computed on top of: what it says is of that one. */
  version: number;
  plays: number;
  byChange: Record<string, number>;
  /** The greatest first; all of them are in whence.backfill_changes. */
  top: PreviewChange[];
}

const SHOWN = 10;
const EXAMPLES = 3;
const row = (play: string) => `coalesce(${play}.own_row_type, ${play}.own_surface)`;

/**
 * Holds what an attempt has computed against what is current, and keeps what would change. Nothing is committed.
 *
 * @throws AttemptGoneError; CommitLostError where another version is current than the one it started from
 */
export async function previewAttempt({ pool }: BatchDeps, backfill: number, attempt: number): Promise<PreviewSummary> {
  return withTransaction(pool, async (client) => {
    const { days, version } = await checkPreview(client, attempt);
    await findChanges(client, { attempt, days });
    await client.query('delete from whence.backfill_changes where backfill = $1', [backfill]);
    await client.query(
      `insert into whence.backfill_changes (backfill, country, change, from_row, to_row, plays, examples)
       select $1, country, change, from_row, to_row, count(*),
         jsonb_path_query_array(
           jsonb_agg(jsonb_build_object('play_id', play_id, 'profile_id', profile_id, 'work_id', work_id, 'day', day)
             order by play_id), '$[0 to ${EXAMPLES - 1}]')
       from (
         select coalesce(a.country, b.country) as country, coalesce(a.play_id, b.play_id) as play_id,
           coalesce(a.profile_id, b.profile_id) as profile_id, coalesce(a.work_id, b.work_id) as work_id,
           coalesce(a.day, b.day) as day, ${row('b')} as from_row, ${row('a')} as to_row,
           case when b.play_id is null then 'new' when a.play_id is null then 'removed'
             when ${row('a')} <> ${row('b')} then 'moved' else 'other' end as change
         from adding a
         full join (
           select p.* from closing join whence.batch_plays p using (play_id) where p.to_version is null
         ) b using (play_id)
       ) changed
       group by country, change, from_row, to_row`,
      [backfill],
    );
    const { rows } = await client.query<PreviewChange>(
      `select country, change, from_row, to_row, plays, examples from whence.backfill_changes
       where backfill = $1 order by plays desc, change, country, from_row, to_row`,
      [backfill],
    );
    const byChange: Record<string, number> = {};
    for (const { change, plays } of rows) byChange[change] = (byChange[change] ?? 0) + plays;
    const plays = rows.reduce((sum, each) => sum + each.plays, 0);
    const summary: PreviewSummary = { version, plays, byChange, top: rows.slice(0, SHOWN) };
    await client.query('update whence.backfills set preview = $2 where backfill = $1', [
      backfill,
      JSON.stringify(summary),
    ]);
    return summary;
  });
}

/**
 * Whether what a preview says is still what a commit would do.
 *
 * @throws AttemptGoneError; CommitLostError where another version is current by now
 */
export async function checkPreview(database: Queryable, attempt: number): Promise<{ days: string[]; version: number }> {
  const { rows } = await database.query<{ days: string[]; parent: number; version: number }>(
    `select days::text[] as days, parent, coalesce((select version from whence.batch_head), 0) as version
     from whence.batch_attempts where attempt = $1 and committed is null`,
    [attempt],
  );
  if (rows.length === 0) throw new AttemptGoneError(attempt);
  const [{ days, parent, version }] = rows;
  if (parent !== version) throw new CommitLostError(parent, version);
  return { days, version };
}
