import { PLAY_ROW_COLUMNS } from '../../attribution/play-row.ts';
import type { Queryable } from '../../platform/postgres.ts';

/** The columns that say what a play of the batch view is. */
export const PLAY_COLUMNS = [...PLAY_ROW_COLUMNS, 'narrow'] as const;

/** The columns that plays are found by. */
const FOUND_BY = ['play_id', 'profile_id', 'work_id', 'day', 'started_at', 'ended_at'];

/** So few changed plays make no other plan. */
export const ANALYZED_FROM = 500;

/** Statistics of the columns that plays are found by: those of the others, of arrays above all, cost more than writing the plays. */
export async function analyzePlays(database: Queryable, table: string, also: readonly string[] = []): Promise<void> {
  await database.query(`analyze ${table} (${[...FOUND_BY, ...also].join(', ')})`);
}
