import { DailyMove, dailyShares, moveDaily } from '../merge/daily.ts';
import { settleDiscoveries } from '../merge/discoveries.ts';
import { keySetOf } from '../merge/keys.ts';
import { shareMerge } from '../merge/locks.ts';
import { noteKeys } from '../merge/noting.ts';
import type { Pool } from '../platform/postgres.ts';
import { withStatements } from '../platform/statements.ts';
import { FencedError } from './errors.ts';
import { advanceTask, isFenced, wasCommitted, type Offsets } from './sql/advance-task.ts';
import { addDeadLetters, addToLedger } from './sql/write-ledger.ts';
import { writePlays } from './sql/write-plays.ts';
import type { Delta } from './task-state.ts';

/** A crash or a fault can be put between any two steps of a commit, by tests. */
export type CommitStep = 'begun' | 'fenced' | 'plays written' | 'settled' | 'before commit' | 'committed';
/** The same of writing a checkpoint, and of taking a task: its row, its checkpoint, and what was read after that. */
export type CheckpointStep = 'cut' | 'segment written' | 'head written' | 'registered' | 'old removed';
export type RecoveryStep = 'taken' | 'head read' | 'segment restored' | 'restored' | 'recovered';
export type OnStep = (step: CommitStep | CheckpointStep | RecoveryStep) => void | Promise<void>;

/** Connections for commits: small ones go in a few waves of statements, large ones use COPY, which a pipeline does not allow. */
export interface CommitPools {
  pool: Pool;
  pipeline: Pool;
}

/**
 * Commits a delta: plays, discoveries, rollup, ledger, dead letters and offsets, all or nothing, and only while the task is
 * of this epoch and at the offsets `from`.
 *
 * Its statements are sent without waiting for each other's answers: where the fence is closed, all after it do nothing. A small
 * commit takes four round trips, its begin and its end included; three where no play changes.
 *
 * Locks are taken in one order everywhere: first the task's row, then the merge (shared), then rows of its own keys.
 *
 * @throws FencedError where another process has the task; then nothing was written
 */
export async function commitDelta(
  { pool, pipeline }: CommitPools,
  task: number,
  epoch: number,
  from: Offsets,
  delta: Delta,
  onStep?: OnStep,
): Promise<void> {
  try {
    await withStatements(delta.plays.copy ? pool : pipeline, async (statements) => {
      // Whoever puts something between two steps has all before it done.
      const step = async (name: CommitStep) => {
        if (onStep === undefined) return;
        await statements.answered();
        await onStep(name);
      };
      await step('begun');
      void statements.send(advanceTask(statements, task, epoch, from, delta));
      await step('fenced');
      if (delta.touched.length > 0) {
        const keys = keySetOf(delta.touched);
        void statements.send(shareMerge(statements));
        void statements.send(noteKeys(statements, keys));
        const before = statements.send(dailyShares(statements, keys));
        const written = statements.send(writePlays(statements, task, delta.touched, delta.plays, keys));
        // A copy is no statement: what follows waits for it.
        if (delta.plays.copy) await written;
        await step('plays written');
        void statements.send(settleDiscoveries(statements, keys, 'speed'));
        const after = statements.send(dailyShares(statements, keys));
        await statements.answered();
        const move = new DailyMove().add(await before, -1).add(await after, 1);
        void statements.send(moveDaily(statements, task, move));
      }
      await step('settled');
      void statements.send(addToLedger(statements, task, delta.ledger));
      void statements.send(addDeadLetters(statements, task, delta.deadLetters));
      await step('before commit');
    });
  } catch (error) {
    throw isFenced(error) ? new FencedError(task, epoch) : error;
  }
  await onStep?.('committed');
}

/**
 * `commitDelta` for a task whose connection may have broken while an earlier try of the same delta was being committed: a
 * fence that is closed because that try went through is no fence.
 */
export async function commitAgain(...commit: Parameters<typeof commitDelta>): Promise<void> {
  const [{ pool }, task, epoch, , delta] = commit;
  try {
    await commitDelta(...commit);
  } catch (error) {
    if (error instanceof FencedError && (await wasCommitted(pool, task, epoch, delta.offsets))) return;
    throw error;
  }
}
