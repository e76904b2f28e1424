import type { BatchDeps } from '../advance.ts';

/** An attempt that is older was left behind by a workflow that was terminated. */
const LONGEST = '6 hours';

/** Whether somebody makes a version that is no backfill's: a commit in between would have them begin again. */
export async function isFreshDayAtWork({ pool }: BatchDeps): Promise<boolean> {
  const { rowCount } = await pool.query(
    `select from whence.batch_attempts
     where committed is null and not by_day and begun_at > now() - interval '${LONGEST}' limit 1`,
  );
  return rowCount === 1;
}
