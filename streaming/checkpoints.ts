import type { Policy } from '../attribution/policy.ts';
import type { Logger } from '../platform/log.ts';
import type { Pool } from '../platform/postgres.ts';
import type { Storage } from '../platform/storage.ts';
import { loadCheckpoint, type Wanted } from './checkpoint-load.ts';
import { writeCheckpoint, type CheckpointPlace, type Written } from './checkpoint-write.ts';
import type { OnStep } from './commit.ts';
import { FencedError } from './errors.ts';
import type { RestoredState, StateCut } from './task-state.ts';

export interface CheckpointOptions {
  storage: Storage;
  /** Whose they are: several installations may share a storage. */
  installation: string;
  /** A task writes one no more often than this. */
  everyMs: number;
}

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
  readonly #ended = new AbortController();

  constructor(
    options: CheckpointOptions,
    of: { pool: Pool; log: Logger; task: number; epoch: number; policy: Policy; onStep?: OnStep },
  ) {
    const { storage, installation, everyMs } = options;
    const { pool, task, epoch, policy } = of;
    const prefix = `checkpoints/${installation}/${task}/`;
    this.#options = options;
    this.#place = { pool, storage, prefix, task, epoch, policy: policy.hash };
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

  /** Facts may be dropped, since nothing is to be written any more. */
  end(): void {
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
    } catch (error) {
      // Whoever took the task writes its own.
      const over = error instanceof FencedError || this.#ended.signal.aborted;
      if (!over) this.#log.warn({ task, err: error }, 'cannot write a checkpoint, going on');
    }
  }
}
