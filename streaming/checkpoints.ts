import type { Policy } from '../attribution/policy.ts';
import type { Logger } from '../platform/log.ts';
import type { Outage, OutageWords } from '../platform/outage.ts';
import type { Pool } from '../platform/postgres.ts';
import type { Storage } from '../platform/storage.ts';
import { loadCheckpoint, type Wanted } from './checkpoint-load.ts';
import { sweepCheckpoints } from './checkpoint-sweep.ts';
import { writeCheckpoint, type CheckpointPlace, type Written } from './checkpoint-write.ts';
import type { OnStep } from './commit.ts';
import { errorOf, FencedError } from './errors.ts';
import type { RestoredState, StateCut } from './task-state.ts';

export interface CheckpointOptions {
  storage: Storage;
  /** Whose they are: several installations may share a storage. */
  installation: string;
  /** A task writes one no more often than this. */
  everyMs: number;
  /** Is told where none can be written. */
  trouble: Outage;
}

/** How the checkpoints of a task are at one moment. Times are epoch milliseconds. */
export interface CheckpointView {
  /** When the newest was cut, or what was restored was taken; a restart reads the log from there on, at most. */
  at: number;
  /** Since when none can be written, and why. */
  failing: { since: number; error: Error } | null;
}

/** The lines of an incident: a storage that is full, or refuses. */
export const CHECKPOINT_WORDS: OutageWords = {
  began: 'cannot write a checkpoint, going on: a restart would read more of the log again, nothing is lost',
  ended: 'checkpoints are written again',
};

/** Writing must end before this, since no facts are dropped meanwhile. */
const MOST_MS = 120_000;

/** The checkpoints of a task that this process has: it restores one when it takes the task, and writes one now and then. */
export class Checkpoints {
  readonly #options: CheckpointOptions;
  readonly #place: CheckpointPlace;
  readonly #log: Logger;
  readonly #onStep: OnStep | undefined;
  #written: Written = new WeakMap();
  #writing: Promise<void> | null = null;
  #nextAt: number;
  #at = Date.now();
  #failing: CheckpointView['failing'] = null;
  #swept = false;
  readonly #ended = new AbortController();

  constructor(
    options: CheckpointOptions,
    of: { pool: Pool; log: Logger; outage: Outage; task: number; epoch: number; policy: Policy; onStep?: OnStep },
  ) {
    const { storage, installation, everyMs } = options;
    const { pool, outage, task, epoch, policy } = of;
    const prefix = `checkpoints/${installation}/${task}/`;
    this.#options = options;
    this.#place = { pool, outage, storage, prefix, task, epoch, policy: policy.hash };
    this.#log = of.log;
    this.#onStep = of.onStep;
    this.#nextAt = Date.now() + everyMs;
  }

  /** Restores the newest checkpoint that can be used; undefined where the log must be read instead. */
  async load(wanted: Wanted): Promise<RestoredState | undefined> {
    const loaded = await loadCheckpoint(this.#place, wanted, this.#log, this.#onStep);
    if (loaded === null) return undefined;
    this.#written = loaded.written;
    return loaded.state;
  }

  /** Whether it is time to write one. */
  get due(): boolean {
    return this.#writing === null && Date.now() >= this.#nextAt;
  }

  get writing(): boolean {
    return this.#writing !== null;
  }

  view(): CheckpointView {
    return { at: this.#at, failing: this.#failing };
  }

  /** Facts may be dropped, since nothing is to be written any more. */
  end(): void {
    this.#options.trouble.ended(partOf(this.#place));
    this.#ended.abort(new Error('the task has ended'));
  }

  /** Begins to write what was cut. A failure costs this checkpoint alone. */
  write(cut: StateCut): void {
    this.#writing = this.#write(cut).finally(() => {
      this.#writing = null;
      this.#nextAt = Date.now() + this.#options.everyMs;
    });
  }

  /** Resolves when none is being written. */
  async idle(): Promise<void> {
    await this.#writing;
  }

  async #write(cut: StateCut): Promise<void> {
    const { task } = this.#place;
    const { trouble } = this.#options;
    const signal = AbortSignal.any([this.#ended.signal, AbortSignal.timeout(MOST_MS)]);
    // A storage that hangs does not hear of the signal.
    const aborted = new Promise<never>((_, reject) =>
      signal.addEventListener('abort', () => reject(signal.reason as Error)),
    );
    aborted.catch(() => {});
    try {
      await this.#onStep?.('cut');
      const begun = Date.now();
      const writing = writeCheckpoint(this.#place, cut, this.#written, signal, this.#onStep);
      const wrote = await Promise.race([writing, aborted]);
      this.#log.info({ task, ...wrote, ms: Date.now() - begun }, 'checkpoint written');
      this.#at = begun;
      this.#failing = null;
      trouble.ended(partOf(this.#place));
      await this.#sweep();
    } catch (error) {
      // Whoever took the task writes its own.
      if (error instanceof FencedError || this.#ended.signal.aborted) return;
      this.#failing ??= { since: Date.now(), error: errorOf(error) };
      trouble.began(partOf(this.#place), error);
    }
  }

  /** Once, when the first is written: later ones remove what they no longer need. */
  async #sweep(): Promise<void> {
    if (this.#swept) return;
    const { task } = this.#place;
    try {
      const removed = await sweepCheckpoints(this.#place);
      this.#swept = true;
      if (removed > 0) this.#log.info({ task, removed }, 'removed objects that no checkpoint needs');
    } catch (error) {
      // The next one tries again.
      this.#log.debug({ task, err: error }, 'could not look for objects that no checkpoint needs');
    }
  }
}

function partOf({ task }: CheckpointPlace): string {
  return `task ${task}`;
}
