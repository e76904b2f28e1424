import { setTimeout as sleep } from 'node:timers/promises';
import type { Policy } from '../attribution/policy.ts';
import { spell, STALLED_AFTER_MS } from '../platform/health.ts';
import type { Logger } from '../platform/log.ts';
import { type Outage, waitOut } from '../platform/outage.ts';
import { isPassing } from '../platform/passing.ts';
import type { Pool } from '../platform/postgres.ts';
import type { OnStep } from './commit.ts';
import type { CommitTurns } from './commit-turns.ts';
import { Checkpoints, type CheckpointOptions } from './checkpoints.ts';
import { errorOf, FencedError } from './errors.ts';
import { findBeginning } from './find-beginning.ts';
import type { Commit, Offsets } from './sql/advance-task.ts';
import { takeTask, type TakenTask } from './sql/take-task.ts';
import { Alarm, lingerOf } from './linger.ts';
import { Reading } from './reading.ts';
import { finiteOrNull, TaskState, type Delta, type StateCut } from './task-state.ts';
import type { TaskView } from './task-health.ts';
import type { LogBounds } from './topics.ts';

/** With so many records a commit waits no longer. */
const CATCH_UP_RECORDS = 150_000;
/** Reading waits for a commit while this many records are uncommitted: what bounds memory when Postgres is slow. */
const MOST_PENDING = 300_000;
/** The same for the bytes of dead letters, which are kept whole. */
const MOST_PENDING_BYTES = 16 * 1024 * 1024;
/** Whoever stops writes a checkpoint where at least so many records were read since the last. */
const WORTH_A_CHECKPOINT = 50_000;

export interface TaskOptions {
  pool: Pool;
  /** The partition number. */
  number: number;
  topics: readonly string[];
  policy: Policy;
  /** The tasks of a process commit together. */
  turns: CommitTurns;
  log: Logger;
  outage: Outage;
  /** Bounds of this partition's logs, by topic. */
  bounds: readonly LogBounds[];
  /** Where the log no longer holds what was to be read, begin with what it holds. */
  acceptDataLoss: boolean;
  /** Topics that are known to have been re-created, the loss accepted. */
  recreated: ReadonlySet<string>;
  /** Told when a commit went through, and when the task can go on no longer. */
  onCommit: (commit: TaskCommit) => void;
  onLost: (reason: Error) => void;
  onStep?: OnStep;
  /** Where checkpoints stand; without it none are made, and state is rebuilt from the log. */
  checkpoints?: CheckpointOptions;
  /** A commit that takes longer is told of; half a minute by default. */
  stalledAfterMs?: number;
}

/** What a commit was, for whoever counts. */
export interface TaskCommit {
  delta: Delta;
  /** From when its delta was taken: of the transaction, shared with other tasks perhaps, and of the tries before it. */
  tookMs: number;
  /** How long a sample of its records took from producer to here: the first of each stride, milliseconds. */
  ages: number[];
  /** Facts that were dropped after it. */
  evicted: number;
}

/** What was taken out of the state, to be committed however often it takes. */
interface PreparedCommit extends Commit {
  begun: number;
  /** Kafka timestamps of a sample of its records. */
  stamps: number[];
  /** What a checkpoint is made of once it is committed. */
  cut: StateCut | null;
}

/**
 * One partition number over all topics: what is read into its state, and what changed is committed. It is taken from whoever
 * had it before, rebuilds its state by reading again from the replay point, and ends when another takes it.
 */
export class Task {
  readonly number: number;
  readonly reading: Reading;
  readonly #options: TaskOptions;
  readonly #state: TaskState;
  readonly #checkpoints: Checkpoints | null;
  readonly #epoch: number;
  /** Replay points of topics that this process does not read. */
  readonly #otherReplay: TakenTask['replay'];
  /** What is committed, as the fence compares it. */
  #committed: Offsets;
  #watermark: number | null = null;
  #commit: Promise<void> | null = null;
  #commitBegunAt = 0;
  /** Of the next commit. */
  readonly #alarm = new Alarm(() => void this.commitNow());
  #ended = false;
  /** When it last got on, and since when and why it cannot commit. */
  #progressAt = Date.now();
  #failing: { since: number; error: Error } | null = null;
  #recovered = false;
  /** Records read since the last checkpoint was cut. */
  #sinceCheckpoint = 0;

  private constructor(
    options: TaskOptions,
    taken: TakenTask,
    offsets: Offsets,
    state: TaskState,
    checkpoints: Checkpoints | null,
  ) {
    const { epoch, offsets: stored, replay } = taken;
    this.#options = options;
    this.#otherReplay = Object.fromEntries(Object.entries(replay).filter(([topic]) => !options.topics.includes(topic)));
    this.number = options.number;
    this.#epoch = epoch;
    this.#committed = stored;
    this.#state = state;
    this.#checkpoints = checkpoints;
    this.reading = new Reading(options.number, options.topics, state, offsets, options.bounds);
  }

  /**
   * Takes the task.
   *
   * @throws RecordsLostError, TopicRecreatedError where the log no longer is what the stored offsets are of
   */
  static async take(options: TaskOptions): Promise<Task> {
    const { number, topics, policy, pool, log } = options;
    const rules = policy.rules.speed;
    const taken = await takeTask(pool, number, rules.stitchingGap + rules.allowedLateness);
    await options.onStep?.('taken');
    const checkpoints = options.checkpoints
      ? new Checkpoints(options.checkpoints, {
          pool,
          log,
          outage: options.outage,
          task: number,
          epoch: taken.epoch,
          policy,
          onStep: options.onStep,
        })
      : null;
    const { offsets, replay, restored } = await findBeginning(options, taken, checkpoints);
    const state = new TaskState(number, topics, policy, offsets, replay, restored);
    return new Task(options, taken, offsets, state, checkpoints);
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Records read but not committed. */
  get pending(): number {
    return this.#state.pending;
  }

  /** Reads some of what was offered; see `Reading`. */
  readSome(atMost: number): boolean {
    return this.reading.readSome(atMost, () => this.full);
  }

  /** How it is, for health and metrics. */
  view(): TaskView {
    return {
      task: this.number,
      topics: this.#options.topics.map((topic, index) => ({
        topic,
        committed: this.#committed[topic]?.next ?? this.reading.committedAtStart[index],
        stampedAt: this.#committed[topic]?.last?.stampedAt ?? null,
        end: this.reading.end(index),
      })),
      watermark: this.#watermark,
      recovering: this.reading.recovering,
      pending: this.pending,
      facts: this.#state.held,
      factBytes: this.#state.heldBytes,
      progressAt: Math.max(this.#progressAt, this.reading.rebuiltAt),
      failing: this.#failing,
      committingSince: this.#commit === null ? null : this.#commitBegunAt,
      checkpoint: this.#checkpoints?.view() ?? null,
    };
  }

  /** Sees to it that what was read is committed soon. */
  commitSoon(): void {
    if (this.#ended || this.#commit !== null || this.reading.recovering || this.#state.pending === 0) return;
    if (this.full || this.#state.pending >= CATCH_UP_RECORDS) void this.commitNow();
    else this.#alarm.within(lingerOf(this.#reads()));
  }

  /** By topic, how far it is read. */
  #reads(): { position: number; end: number; committed: number }[] {
    return this.#options.topics.map((name, topic) => ({
      position: this.#state.position(topic),
      end: this.reading.end(topic),
      committed: this.#committed[name]?.next ?? 0,
    }));
  }

  /** Whether reading must wait for a commit. */
  get full(): boolean {
    return this.#state.pending >= MOST_PENDING || this.#state.pendingBytes >= MOST_PENDING_BYTES;
  }

  /** Waits for the checkpoint that is being written, if one is. */
  async checkpointed(): Promise<void> {
    await this.#checkpoints?.idle();
  }

  /** Waits for the commit that is under way or due, at most this long. @returns whether there still is too much */
  async relieve(forMs: number): Promise<boolean> {
    await Promise.race([this.commitNow(), sleep(forMs, undefined, { ref: false })]);
    return this.full && !this.#ended;
  }

  /** Looks after what time brings: quiet topics let the watermark go on; old facts leave. */
  tick(): void {
    const { outage, stalledAfterMs = STALLED_AFTER_MS } = this.#options;
    const takes = Date.now() - this.#commitBegunAt;
    if (!this.#ended && this.#commit !== null && takes > stalledAfterMs) {
      outage.began(partOf(this.number), new Error(`a commit takes more than ${spell(stalledAfterMs)}`));
    }
    if (this.#ended || this.reading.recovering || this.#commit !== null) return;
    if (this.#state.pending > 0) {
      this.commitSoon();
      return;
    }
    const moved = this.#reads().some(({ position, committed }) => position !== committed);
    if (moved || this.#watermark !== finiteOrNull(this.#state.watermark(this.reading.quiet()))) void this.commitNow();
  }

  /**
   * Commits everything read so far; with `settle`, topics that are read to their end no longer hold back the watermark.
   * Resolves when it is committed, or the task is lost.
   */
  async commitNow(settle = false): Promise<void> {
    this.#alarm.clear();
    if (this.#commit !== null && !settle) return this.#commit;
    // The end of a commit may have begun the next: never two at once.
    while (this.#commit !== null) await this.#commit;
    if (this.#ended || this.reading.recovering) return undefined;
    this.#commitBegunAt = Date.now();
    this.#commit = this.#commitDelta(settle).finally(() => {
      this.#commit = null;
      this.commitSoon();
    });
    return this.#commit;
  }

  /** The task is no longer ours, or no longer wanted: nothing more is committed. */
  abandon(): void {
    this.#ended = true;
    this.#checkpoints?.end();
    this.#alarm.clear();
  }

  async #commitDelta(settle: boolean): Promise<void> {
    const { outage, turns } = this.#options;
    let prepared: PreparedCommit | null = null;
    const prepare = () => {
      if (this.#ended) throw new FencedError(this.number, this.#epoch);
      // What was read while others had their turn is of this commit, too.
      return (prepared ??= this.#prepare(settle));
    };
    try {
      if (!this.#recovered) await this.#options.onStep?.('recovered');
      this.#recovered = true;
      const asked = Date.now();
      const { delta, begun, stamps, cut } = await waitOut(() => turns.commit(prepare), {
        outage,
        part: partOf(this.number),
        passes: isPassing,
        onFailure: (error) => (this.#failing ??= { since: asked, error }),
      });
      this.#committed = delta.offsets;
      this.#watermark = delta.watermark;
      const now = Date.now();
      this.#progressAt = now;
      this.#failing = null;
      const held = this.#state.held;
      if (cut !== null) this.#checkpoints?.write(cut);
      // What is being written down must stay.
      if (!this.#checkpoints?.writing) this.#state.evict();
      this.#options.onCommit({
        delta,
        tookMs: now - begun,
        ages: stamps.map((stamp) => now - stamp),
        evicted: held - this.#state.held,
      });
    } catch (error) {
      if (this.#ended) return;
      this.abandon();
      this.#options.onLost(errorOf(error));
    }
  }

  /** Takes what is to be committed out of the state. */
  #prepare(settle: boolean): PreparedCommit {
    const { reading } = this;
    const begun = Date.now();
    // Whoever waits for a turn does not commit yet.
    this.#commitBegunAt = begun;
    const stamps = reading.takeStamps();
    const from = this.#committed;
    const taken = this.#state.takeDelta(settle ? reading.atEnds() : reading.quiet());
    // Topics that this process does not read keep what is stored of them.
    const delta = {
      ...taken,
      offsets: { ...from, ...taken.offsets },
      replay: { ...this.#otherReplay, ...taken.replay },
    };
    this.#sinceCheckpoint += taken.records;
    const cut = this.#checkpointDue(settle) ? this.#state.cut() : null;
    if (cut !== null) this.#sinceCheckpoint = 0;
    return { task: this.number, epoch: this.#epoch, from, delta, begun, stamps, cut };
  }

  /** Whoever stops writes one, too, where beginning again would take long otherwise. */
  #checkpointDue(settle: boolean): boolean {
    if (this.#checkpoints === null || this.#checkpoints.writing || this.#sinceCheckpoint === 0) return false;
    return this.#checkpoints.due || (settle && this.#sinceCheckpoint >= WORTH_A_CHECKPOINT);
  }
}

/** What a task is to an outage. */
export function partOf(task: number): string {
  return `task ${task}`;
}
