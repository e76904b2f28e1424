import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { isLocked, isPassing } from '../platform/passing.ts';
import { commitAgain, commitDeltas, type CommitPools, type OnStep } from './commit.ts';
import { errorOf } from './errors.ts';
import type { Commit } from './sql/advance-task.ts';

/** Making a delta of what was read while catching up takes up to a second: so long is enough before others have the thread. */
const PREPARE_MS = 20;
/** A commit that takes longer (it waits for a lock, or Postgres is slow) holds up no other turn. */
const SLOW_MS = 100;
/** With more plays than this a commit goes by itself: what it costs is its rows then, and several connections share the work. */
const FEW_PLAYS = 64;

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
  keys: ReadonlySet<string>;
}

/**
 * The commits of a process's tasks, in turns: what is due while a small one is under way goes together in the next, in one transaction.
 * A small commit costs Postgres and us about the same whether it is of one task or of six.
 *
 * Commits of many plays go by themselves beside the turns. No two commits of one process that have a key in common (a producer has
 * spread a profile over partitions) are under way at once.
 */
export class CommitTurns {
  readonly #pools: CommitPools;
  readonly #onStep?: OnStep;
  readonly #prepareMs: number;
  #waiting: Waiting[] = [];
  #going = false;
  /** What is being committed, and the keys of each. */
  readonly #underWay = new Map<Promise<void>, ReadonlySet<string>>();
  /** Tasks that failed together with others, though it passes: until one gets on again, it is tried by itself. */
  readonly #failed = new Set<number>();

  /** @param prepareMs after so long the next ones wait for another turn */
  constructor(pools: CommitPools, onStep?: OnStep, prepareMs = PREPARE_MS) {
    this.#pools = pools;
    this.#onStep = onStep;
    this.#prepareMs = prepareMs;
  }

  /**
   * Commits when it is its turn.
   *
   * @param prepare asked when the turn comes, and perhaps again before it is committed: it gives the same then. A task must not wait
   *   twice at once
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
    try {
      while (this.#waiting.length > 0) {
        // Whoever is due in the same moment comes along.
        await setImmediate();
        await this.#turn();
      }
    } finally {
      this.#going = false;
    }
  }

  /** Begins what can be, and waits until the next turn may come. */
  async #turn(): Promise<void> {
    const together: Due[] = [];
    const heldBack: Due[] = [];
    for (const due of this.#nextDue()) {
      const isTaken = [...this.#underWay.values(), ...together.map(({ keys }) => keys)].some((keys) =>
        meet(keys, due.keys),
      );
      if (isTaken) heldBack.push(due);
      else if (this.#goesAlone(due.commit)) void this.#begin([due], this.#alone(due));
      else together.push(due);
    }
    this.#waiting = [...heldBack, ...this.#waiting];
    if (together.length > 0) {
      const group = this.#begin(together, this.#together(together));
      await Promise.race([group, sleep(SLOW_MS, undefined, { ref: false })]);
    } else if (heldBack.length > 0) {
      await Promise.race(this.#underWay.keys());
    }
  }

  #goesAlone({ task, delta: { plays } }: Commit): boolean {
    return plays.ids.length > FEW_PLAYS || this.#failed.has(task);
  }

  /** Those whose turn it is, in the order of their tasks, as far as they still want to commit. */
  #nextDue(): Due[] {
    const due: Due[] = [];
    const begun = performance.now();
    while (this.#waiting.length > 0 && performance.now() - begun < this.#prepareMs) {
      const [one] = this.#waiting.splice(0, 1);
      try {
        const commit = one.prepare();
        due.push({ ...one, commit, keys: keysOf(commit) });
      } catch (error) {
        one.reject(error);
      }
    }
    return due.sort((a, b) => a.commit.task - b.commit.task);
  }

  #begin(members: readonly Due[], work: Promise<void>): Promise<void> {
    const ended = work.finally(() => this.#underWay.delete(ended));
    this.#underWay.set(ended, new Set(members.flatMap(({ keys }) => [...keys])));
    return ended;
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
      if (isPassing(errorOf(error)) && !isLocked(error)) {
        for (const { commit, reject } of group) {
          this.#failed.add(commit.task);
          reject(error);
        }
        return;
      }
      // One of them cannot be committed, or waits for a lock: the others can.
      await Promise.all(group.map((one) => this.#alone(one)));
    }
    return undefined;
  }

  /** Never fails: whoever waits is told. */
  async #alone({ commit, resolve, reject }: Due): Promise<void> {
    try {
      await commitAgain(this.#pools, commit, this.#onStep);
      this.#failed.delete(commit.task);
      resolve();
    } catch (error) {
      if (!isPassing(errorOf(error))) this.#failed.delete(commit.task);
      reject(error);
    }
  }
}

function keysOf({ delta }: Commit): ReadonlySet<string> {
  return new Set(delta.touched.map((key) => `${key.profile_id}\0${key.work_id}`));
}

function meet(some: ReadonlySet<string>, others: ReadonlySet<string>): boolean {
  const [few, many] = some.size < others.size ? [some, others] : [others, some];
  for (const key of few) if (many.has(key)) return true;
  return false;
}
