import { DailyMove, dailyShares, moveDaily } from '../merge/daily.ts';
import { settleDiscoveries } from '../merge/discoveries.ts';
import { keySetOf } from '../merge/keys.ts';
import { shareMerge } from '../merge/locks.ts';
import { noteKeys } from '../merge/noting.ts';
import { withTransaction, type Pool } from '../platform/postgres.ts';
import { FencedError } from './errors.ts';
import { advanceTask, wasCommitted, type Offsets } from './sql/advance-task.ts';
import { addDeadLetters, addToLedger } from './sql/write-ledger.ts';
import { writePlays } from './sql/write-plays.ts';
import type { Delta } from './task-state.ts';

/** A crash or a fault can be put between any two steps of a commit, by tests. */
export type CommitStep = 'begun' | 'fenced' | 'plays written' | 'settled' | 'before commit' | 'committed';
/** The same of writing a checkpoint, and of taking a task: its row, its checkpoint, and what was read after that. */
export type CheckpointStep = 'cut' | 'segment written' | 'head written' | 'registered' | 'old removed';
export type RecoveryStep = 'taken' | 'head read' | 'segment restored' | 'restored' | 'recovered';
export type OnStep = (step: CommitStep | CheckpointStep | RecoveryStep) => void | Promise<void>;

/**
 * Commits a delta: plays, discoveries, rollup, ledger, dead letters and offsets, all or nothing, and only while the task is
 * of this epoch and at the offsets `from`.
 *
 * Locks are taken in one order everywhere: first the task's row, then the merge (shared), then rows of its own keys.
 *
 * @throws FencedError where another process has the task; then nothing was written
 */
export async function commitDelta(
  pool: Pool,
  task: number,
  epoch: number,
  from: Offsets,
  delta: Delta,
  onStep: OnStep = () => {},
): Promise<void> {
  await withTransaction(pool, async (client) => {
    await onStep('begun');
    if (!(await advanceTask(client, task, epoch, from, delta))) throw new FencedError(task, epoch);
    await onStep('fenced');
    if (delta.touched.length > 0) {
      await shareMerge(client);
      const keys = keySetOf(delta.touched);
      await noteKeys(client, keys);
      const before = await dailyShares(client, keys);
      await writePlays(client, task, delta.touched, delta.plays);
      await onStep('plays written');
      await settleDiscoveries(client, keys, 'speed');
      const move = new DailyMove().add(before, -1).add(await dailyShares(client, keys), 1);
      await moveDaily(client, task, move);
    }
    await onStep('settled');
    await addToLedger(client, task, delta.ledger);
    await addDeadLetters(client, task, delta.deadLetters);
    await onStep('before commit');
  });
  await onStep('committed');
}

/**
 * `commitDelta` for a task whose connection may have broken while an earlier try of the same delta was being committed: a
 * fence that is closed because that try went through is no fence.
 */
export async function commitAgain(...commit: Parameters<typeof commitDelta>): Promise<void> {
  const [pool, task, epoch, , delta] = commit;
  try {
    await commitDelta(...commit);
  } catch (error) {
    if (error instanceof FencedError && (await wasCommitted(pool, task, epoch, delta.offsets))) return;
    throw error;
  }
}
