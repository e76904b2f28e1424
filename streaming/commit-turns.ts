import { setImmediate } from 'node:timers/promises';
import { isPassing } from '../platform/passing.ts';
import { commitAgain, commitDeltas, type CommitPools, type OnStep } from './commit.ts';
import { errorOf } from './errors.ts';
import type { Commit } from './sql/advance-task.ts';

/** Making a delta of what was read while catching up takes up to a second: so long is enough before others have the thread. */
const PREPARE_MS = 20;

/** Who waits for a turn. */
interface Waiting {
  /** Gives what is to be committed; throws where it no longer is. */
  prepare: () => Commit;
  resolve: () => void;
  reject: (error: unknown) => void;
}

/** Who has come to a turn. */
interface Due extends Waiting {
  commit: Commit;
}

/**
 * The commits of a process's tasks, one transaction at a time: what is due while one is under way goes together in the next. A commit
 * costs Postgres and us about the same whether it is of one task or of six.
 *
 * Commits that are copied are large, and go by themselves beside the others.
 */
export class CommitTurns {
  readonly #pools: CommitPools;
  readonly #onStep?: OnStep;
  readonly #waiting: Waiting[] = [];
  #going = false;

  constructor(pools: CommitPools, onStep?: OnStep) {
    this.#pools = pools;
    this.#onStep = onStep;
  }

  /**
   * Commits when it is its turn.
   *
   * @param prepare asked when the turn comes, and not before; the same task must not wait twice
   * @returns what was committed
   * @throws FencedError where another process has the task, what `prepare` throws, and what passes by itself: then it is to be tried again
   */
  async commit<Of extends Commit>(prepare: () => Of): Promise<Of> {
    const prepared: Of[] = [];
    await new Promise<void>((resolve, reject) => {
      this.#waiting.push({ prepare: () => (prepared[0] = prepare()), resolve, reject });
      if (!this.#going) void this.#goOn();
    });
    return prepared[0];
  }

  async #goOn(): Promise<void> {
    this.#going = true;
    while (this.#waiting.length > 0) {
      // Whoever is due in the same moment comes along.
      await setImmediate();
      const due = this.#nextDue();
      const isCopied = ({ commit }: Due) => commit.delta.plays.copy !== null;
      for (const one of due.filter(isCopied)) void this.#alone(one);
      for (const group of apart(due.filter((one) => !isCopied(one)))) await this.#together(group);
    }
    this.#going = false;
  }

  /** Those whose turn it is, in the order of their tasks, as far as they still want to commit. */
  #nextDue(): Due[] {
    const due: Due[] = [];
    const begun = performance.now();
    while (this.#waiting.length > 0 && performance.now() - begun < PREPARE_MS) {
      const [one] = this.#waiting.splice(0, 1);
      try {
        due.push({ ...one, commit: one.prepare() });
      } catch (error) {
        one.reject(error);
      }
    }
    return due.sort((a, b) => a.commit.task - b.commit.task);
  }

  async #together(group: readonly Due[]): Promise<void> {
    if (group.length === 1) return this.#alone(group[0]);
    try {
      await commitDeltas(
        this.#pools,
        group.map(({ commit }) => commit),
        this.#onStep,
      );
      for (const { resolve } of group) resolve();
    } catch (error) {
      if (isPassing(errorOf(error))) {
        for (const { reject } of group) reject(error);
        return;
      }
      // One of them cannot be committed: the others can.
      await Promise.all(group.map((one) => this.#alone(one)));
    }
    return undefined;
  }

  async #alone({ commit, resolve, reject }: Due): Promise<void> {
    await commitAgain(this.#pools, commit, this.#onStep).then(resolve, reject);
  }
}

/** Groups in which no key is of two tasks: a producer may have spread a profile over partitions. */
function apart(due: readonly Due[]): Due[][] {
  const groups: { members: Due[]; keys: Set<string> }[] = [];
  for (const one of due) {
    const keys = one.commit.delta.touched.map((key) => JSON.stringify([key.profile_id, key.work_id]));
    const group = groups.find((other) => !keys.some((key) => other.keys.has(key)));
    if (group === undefined) {
      groups.push({ members: [one], keys: new Set(keys) });
    } else {
      group.members.push(one);
      for (const key of keys) group.keys.add(key);
    }
  }
  return groups.map(({ members }) => members);
}
