import type { BatchDeps, CommitSummary } from '../advance.ts';

/** What became of a day. */
export type DayEnd = { day: string } & ({ committed: CommitSummary } | { reason: string });

export async function noteDay({ pool }: BatchDeps, backfill: number, end: DayEnd): Promise<void> {
  const { version = null, plays = null, playsChanged = null } = 'committed' in end ? end.committed : {};
  await pool.query(
    `update whence.backfill_days
     set status = $3, version = $4, plays = $5, plays_changed = $6, reason = $7, ended_at = now()
     where backfill = $1 and day = $2`,
    [
      backfill,
      end.day,
      'committed' in end ? 'done' : 'failed',
      version,
      plays,
      playsChanged,
      'reason' in end ? end.reason : null,
    ],
  );
}

export type BackfillEnd = 'completed' | 'completed_with_failures' | 'rejected' | 'cancelled' | 'failed';

export async function noteEnd({ pool }: BatchDeps, backfill: number, status: BackfillEnd): Promise<void> {
  await pool.query('update whence.backfills set status = $2, ended_at = now() where backfill = $1', [backfill, status]);
}

export async function noteDecision(
  { pool }: BatchDeps,
  backfill: number,
  decision: 'approved_by' | 'rejected_by',
  actor: string,
): Promise<void> {
  await pool.query(`update whence.backfills set ${decision} = $2 where backfill = $1`, [backfill, actor]);
}
