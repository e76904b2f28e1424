import type { PlayRow } from '../../attribution/play-row.ts';
import type { Queryable } from '../../platform/postgres.ts';

const SOURCE = ['surface', 'class', 'row_type', 'row_id', 'row_rank', 'position', 'impression_id', 'evidence'];
const PATH = ['impression_id', 'surface', 'row_type', 'row_id', 'row_rank', 'position', 'touched_at', 'weights'];

/** The columns that say what a play of the batch view is. */
export const PLAY_COLUMNS = [
  ['play_id', 'profile_id', 'work_id', 'playback_id', 'playback_ids', 'title_id', 'country', 'device_type', 'day'],
  ['started_at', 'ended_at', 'watched_ms', 'qualified', 'inferred_start', 'inferred_end'],
  SOURCE.map((name) => `sop_${name}`),
  SOURCE.map((name) => `own_${name}`),
  ['own_assisted', 'orphan_token', 'rule', 'policy'],
  PATH.map((name) => `path_${name}`),
  ['touches_omitted', 'narrow'],
].flat() as (keyof PlayRow | 'narrow')[];

/** The columns that plays are found by. */
const FOUND_BY = ['play_id', 'profile_id', 'work_id', 'day', 'started_at', 'ended_at'];

/** Statistics of the columns that plays are found by: those of the others, of arrays above all, cost more than writing the plays. */
export async function analyzePlays(database: Queryable, table: string, also: readonly string[] = []): Promise<void> {
  await database.query(`analyze ${table} (${[...FOUND_BY, ...also].join(', ')})`);
}
