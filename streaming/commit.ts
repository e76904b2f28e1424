import { DailyMove, dailyShares, moveDaily } from '../merge/daily.ts';
import { settleDiscoveries } from '../merge/discoveries.ts';
import { keySetOf } from '../merge/keys.ts';
import { shareMerge } from '../merge/locks.ts';
import { noteKeys } from '../merge/noting.ts';
import { type Pool, prepared } from '../platform/postgres.ts';
import { withStatements } from '../platform/statements.ts';
import { FencedError } from './errors.ts';
import { advanceTasks, isFenced, wasCommitted, type Commit } from './sql/advance-task.ts';
import { addDeadLetters, addToLedger } from './sql/write-ledger.ts';
import { writePlays } from './sql/write-plays.ts';

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

/** A lock that one of several tasks waits for is not to hold up the others for long. */
const WAIT_NOT_LONG = prepared("set local lock_timeout = '1s'", []);

/**
 * Commits what some tasks read: plays, discoveries, rollup, ledger, dead letters and offsets, all or nothing, and only while each
 * task is of its epoch and at the offsets `from`.
 *
 * Its statements are sent without waiting for each other's answers: where the fence is closed, all after it do nothing. A small
 * commit takes four round trips, its begin and its end included; three where no play changes.
 *
 * Locks are taken in one order everywhere: first the tasks' rows, by number, then the merge (shared), then rows of their own keys.
 *
 * @param commits in the order of their tasks, which have no key in common; of one alone where its plays are copied
 * @throws FencedError where another process has the task; of several, what Postgres says where it has one of them, or where one
 *   waits long for a lock (`isLocked`). Then nothing was written
 */
export async function commitDeltas(
  { pool, pipeline }: CommitPools,
  commits: readonly Commit[],
  onStep?: OnStep,
): Promise<void> {
  const touching = commits.filter(({ delta }) => delta.touched.length > 0);
  const copied = commits.some(({ delta }) => delta.plays.copy !== null);
  try {
    await withStatements(copied ? pool : pipeline, async (statements) => {
      // Whoever puts something between two steps has all before it done.
      const step = async (name: CommitStep) => {
        if (onStep === undefined) return;
        await statements.answered();
        await onStep(name);
      };
      if (commits.length > 1) void statements.send(statements.query(WAIT_NOT_LONG));
      await step('begun');
      void statements.send(advanceTasks(statements, commits));
      await step('fenced');
      if (touching.length > 0) {
        const keys = keySetOf(touching.flatMap(({ delta }) => delta.touched));
        void statements.send(shareMerge(statements));
        void statements.send(noteKeys(statements, keys));
        const before = statements.send(dailyShares(statements, keys));
        const written = statements.send(writePlays(statements, touching, keys));
        // A copy is no statement: what follows waits for it.
        if (copied) await written;
        await step('plays written');
        void statements.send(settleDiscoveries(statements, keys, 'speed'));
        const after = statements.send(dailyShares(statements, keys));
        await statements.answered();
        const move = new DailyMove().add(await before, -1).add(await after, 1);
        // The sum over all writers counts; that none waits for another is all that they are told apart for.
        void statements.send(moveDaily(statements, touching[0].task, move));
      }
      await step('settled');
      const counts = commits.flatMap(({ task, delta }) => delta.ledger.map((row) => ({ ...row, partition: task })));
      void statements.send(addToLedger(statements, counts));
      for (const { task, delta } of commits) void statements.send(addDeadLetters(statements, task, delta.deadLetters));
      await step('before commit');
    });
  } catch (error) {
    if (commits.length > 1 || !isFenced(error)) throw error;
    throw new FencedError(commits[0].task, commits[0].epoch);
  }
  await onStep?.('committed');
}

/**
 * `commitDeltas` of one task, whose connection may have broken while an earlier try of the same was being committed: a fence that is
 * closed because that try went through is no fence.
 */
export async function commitAgain(pools: CommitPools, commit: Commit, onStep?: OnStep): Promise<void> {
  const { task, epoch, delta } = commit;
  try {
    await commitDeltas(pools, [commit], onStep);
  } catch (error) {
    if (error instanceof FencedError && (await wasCommitted(pools.pool, task, epoch, delta.offsets))) return;
    throw error;
  }
}
