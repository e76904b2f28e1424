import type { BatchDeps } from './advance.ts';

/** Gives an attempt up, with all that was computed for it. Nothing happens where it was committed, or is gone. */
export async function abandonAttempt({ pool }: BatchDeps, attempt: number): Promise<void> {
  await pool.query('delete from whence.batch_attempts where attempt = $1 and committed is null', [attempt]);
}
