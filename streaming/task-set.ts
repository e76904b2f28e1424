import { setTimeout as sleep } from 'node:timers/promises';
import type { Batch, Consumer, EachBatchPayload } from 'kafkajs';
import type { Health } from '../platform/health.ts';
import { KAFKA_PART } from '../platform/kafka.ts';
import type { CommitPools } from './commit.ts';
import { CommitTurns } from './commit-turns.ts';
import { errorOf, isOurs, isServerAway, FencedError, RecordsLostError, TopicRecreatedError } from './errors.ts';
import type { SpeedMetrics } from './speed-metrics.ts';
import { healthOfTasks, type TaskView } from './task-health.ts';
import { partOf, Task, type TaskOptions } from './task.ts';
import type { LogBounds } from './topics.ts';

/** A task that another process took is taken back after this long, where the group still gives it to us. */
const RETAKE_AFTER_MS = 1_000;
/** How many records are read between two looks at heartbeat and memory. */
const STRIDE = 4_000;
/** Who is told to stop waits this long for the last commit. */
const SETTLE_MS = 10_000;
/** Reading that waits for a commit looks up this often. */
const RELIEF_MS = 500;
/** Back-pressure keeps the membership alive for this long without a commit; then others may try. */
const STUCK_AFTER_MS = 60_000;

type TaskSetOptions = Pick<TaskOptions, 'policy' | 'log' | 'outage' | 'onStep' | 'checkpoints' | 'stalledAfterMs'> &
  CommitPools & {
    acceptDataLoss?: boolean;
    metrics?: SpeedMetrics;
  };
type FetchBounds = () => Promise<ReadonlyMap<string, readonly LogBounds[]>>;

/** The tasks of this process, and what the consumer does with each of their topics. */
export class TaskSet {
  readonly #options: TaskSetOptions;
  readonly #turns: CommitTurns;
  readonly #topics: readonly string[];
  readonly #consumer: Consumer;
  readonly #bounds: FetchBounds;
  readonly #tasks = new Map<number, Task>();
  /** Partition numbers that the group gives us, each with a count of how often: a stale take-over finds itself outdated. */
  #assigned = new Map<number, number>();
  #generation = 0;
  /** Topics of tasks that are not fetched just now. */
  readonly #paused = new Set<string>();
  /** Topics of tasks that are to be begun anew, by partition number. */
  readonly #recreated = new Map<number, ReadonlySet<string>>();
  /** When the group last told us what is ours; when Kafka was last asked where its logs end, and why it did not say. */
  #assignedAt: number | null = null;
  readonly #begunAt = Date.now();
  #endsAt = Date.now();
  #endsFault: Error | null = null;
  #look: Promise<void> | null = null;
  /** We are about to leave the group: what it still gives us is for those who stay. */
  #leaving = false;
  #left = false;
  onProgress: () => void = () => {};
  onFatal: (error: Error) => void = () => {};

  constructor(options: TaskSetOptions, topics: readonly string[], consumer: Consumer, bounds: FetchBounds) {
    this.#options = options;
    this.#turns = new CommitTurns(options, options.onStep);
    this.#topics = topics;
    this.#consumer = consumer;
    this.#bounds = bounds;
  }

  /** The group has assigned partitions anew: takes the new ones, drops those that are others' now. */
  assign(assignment: Record<string, number[]>): void {
    const numbers = new Set(Object.values(assignment).flat());
    this.#generation++;
    this.#assignedAt = Date.now();
    for (const number of this.#assigned.keys()) if (!numbers.has(number)) this.#options.outage.ended(partOf(number));
    this.#assigned = new Map([...numbers].map((number) => [number, this.#generation]));
    for (const [number, task] of this.#tasks) {
      if (numbers.has(number)) {
        this.#seek(task);
      } else {
        task.abandon();
        this.#tasks.delete(number);
      }
    }
    const fresh = [...numbers].filter((number) => !this.#tasks.has(number));
    fresh.forEach((number) => this.#pauseAll(number));
    this.#options.log.info({ partitions: [...numbers].sort((a, b) => a - b) }, 'partitions assigned');
    void this.#take(fresh, this.#generation);
  }

  /** Reads a batch into its task; what must wait is kept there, and no more of its topic is fetched meanwhile. */
  async readBatch(payload: EachBatchPayload): Promise<void> {
    const { batch } = payload;
    const task = this.#tasks.get(batch.partition);
    if (task === undefined || task.ended) return;
    const topic = this.#topics.indexOf(batch.topic);
    const goOn = async () => {
      await payload.heartbeat();
      return payload.isRunning() && !payload.isStale() && !task.ended;
    };
    try {
      task.reading.noteEnd(topic, Number(batch.highWatermark));
      if (!(await this.#continues(task, topic, batch))) return;
      task.reading.offer(topic, batch.messages, Number(batch.lastOffset()) + 1);
      await this.#readOn(task, goOn);
      if (task.reading.waiting(topic)) this.#pause(task, topic);
    } catch (error) {
      this.#fail(task, error);
    }
  }

  /**
   * Records from `first` to before `end` were fetched and none was for us. They are passed over where that leaves no gap:
   * a fetch of an earlier assignment may come in late.
   */
  skipTo(topic: string, partition: number, first: number, end: number): void {
    const task = this.#tasks.get(partition);
    const index = this.#topics.indexOf(topic);
    if (task?.ended === false && first <= task.reading.offeredTo(index)) task.reading.skipTo(index, end);
  }

  tick(): void {
    if (this.#options.outage.isWaiting(KAFKA_PART)) void this.noteEnds();
    for (const task of this.#tasks.values()) {
      task.tick();
      if (task.reading.anyWaiting && !task.full)
        void this.#readOn(task, () => Promise.resolve(!task.full && !task.ended));
    }
  }

  /** How each task is that this process has. */
  views(): TaskView[] {
    return [...this.#tasks.values()].map((task) => task.view());
  }

  /** Whether tasks get on, by what Kafka and Postgres say; told apart from whether the process answers. */
  health(): Health {
    const untaken = [...this.#assigned.keys()].filter((number) => !this.#tasks.has(number));
    return healthOfTasks({
      tasks: this.views(),
      untaken,
      begunAt: this.#begunAt,
      assignedAt: this.#assignedAt,
      ends: { seenAt: this.#endsAt, fault: this.#endsFault },
      now: Date.now(),
      stalledAfterMs: this.#options.stalledAfterMs,
    });
  }

  /** Asks Kafka where the logs end: a consumer that hangs does not hear of what comes. One look at a time. */
  async noteEnds(): Promise<void> {
    this.#look ??= this.#lookAtEnds().finally(() => (this.#look = null));
    return this.#look;
  }

  async #lookAtEnds(): Promise<void> {
    const { outage } = this.#options;
    const waiting = outage.isWaiting(KAFKA_PART);
    try {
      const bounds = await this.#bounds();
      for (const task of this.#tasks.values()) {
        this.#topics.forEach((topic, index) => {
          task.reading.noteEnd(index, bounds.get(topic)?.[task.number]?.next ?? 0);
        });
      }
      this.#endsAt = Date.now();
      this.#endsFault = null;
      if (waiting) outage.ended(KAFKA_PART);
    } catch (error) {
      this.#endsFault = errorOf(error);
      // Whoever leaves ends the connection of a look that is under way.
      if (!this.#left) outage.began(KAFKA_PART, error);
    }
  }

  /** Commits all that was read, and takes no more tasks; topics at their end no longer hold back the watermark. */
  async settle(): Promise<void> {
    this.#leaving = true;
    const tasks = [...this.#tasks.values()];
    const commits = Promise.all(tasks.map((task) => task.commitNow(true).then(() => task.checkpointed())));
    // While Postgres is away nothing can be committed, and nothing is lost: it is read again.
    await Promise.race([commits, sleep(SETTLE_MS, undefined, { ref: false })]);
  }

  abandon(): void {
    this.#left = true;
    this.#assigned.clear();
    for (const task of this.#tasks.values()) task.abandon();
  }

  async #take(numbers: readonly number[], generation: number): Promise<void> {
    if (numbers.length === 0 || this.#leaving) return;
    const current = (number: number) => !this.#leaving && this.#assigned.get(number) === generation;
    try {
      const bounds = await this.#bounds();
      for (const number of numbers) {
        if (!current(number)) continue;
        const task = await Task.take({
          number,
          topics: this.#topics,
          policy: this.#options.policy,
          pool: this.#options.pool,
          log: this.#options.log,
          outage: this.#options.outage,
          turns: this.#turns,
          bounds: this.#topics.map((topic) => bounds.get(topic)?.[number] ?? { earliest: 0, next: 0 }),
          acceptDataLoss: this.#options.acceptDataLoss ?? false,
          recreated: this.#recreated.get(number) ?? new Set(),
          onStep: this.#options.onStep,
          checkpoints: this.#options.checkpoints,
          stalledAfterMs: this.#options.stalledAfterMs,
          onCommit: (commit) => {
            this.#options.metrics?.committed(number, commit);
            this.#recreated.delete(number);
            this.onProgress();
          },
          onLost: (reason) => this.#lose(number, reason),
        });
        if (!current(number)) {
          task.abandon();
          continue;
        }
        this.#options.outage.ended(partOf(number));
        this.#tasks.set(number, task);
        this.#options.metrics?.tookTask();
        this.#seek(task);
      }
    } catch (error) {
      if (!isServerAway(error)) {
        this.onFatal(errorOf(error));
        return;
      }
      // Kafka or Postgres is away: the group still counts on us for these.
      for (const number of numbers.filter((number) => current(number) && !this.#tasks.has(number))) {
        this.#options.outage.began(partOf(number), error);
        this.#retake(number);
      }
    }
  }

  /** A task is no longer ours. Where the group still gives it to us, whoever took it was mistaken: take it back. */
  #lose(number: number, reason: Error): void {
    this.#tasks.delete(number);
    if (!(reason instanceof FencedError)) {
      this.onFatal(reason);
      return;
    }
    this.#options.metrics?.fenced();
    this.#options.log.warn({ task: number }, reason.message);
    this.#retake(number);
  }

  #retake(number: number): void {
    const generation = this.#assigned.get(number);
    if (generation === undefined) return;
    this.#pauseAll(number);
    setTimeout(() => {
      if (this.#assigned.get(number) === generation) void this.#take([number], generation);
    }, RETAKE_AFTER_MS).unref();
  }

  /** Reading has failed. What kafkajs throws is its to handle; a topic that was re-created can be begun anew, if allowed. */
  #fail(task: Task, error: unknown): void {
    if (!isOurs(error)) throw error;
    if (!(error instanceof TopicRecreatedError) || !this.#options.acceptDataLoss) {
      this.onFatal(error);
      return;
    }
    task.abandon();
    this.#tasks.delete(task.number);
    this.#recreated.set(task.number, new Set([...(this.#recreated.get(task.number) ?? []), error.topic]));
    this.#retake(task.number);
  }

  /**
   * Whether a batch was fetched from where we are. Where it was not (kafkajs begins anew somewhere when an offset is out of
   * range), it must not be read: the log has lost records, or was cut, or this is a leftover of an earlier assignment.
   *
   * @throws RecordsLostError, TopicRecreatedError
   */
  async #continues(task: Task, topic: number, batch: Batch): Promise<boolean> {
    // Part of kafkajs's Batch, though not of its types.
    const { fetchedOffset } = batch as Batch & { fetchedOffset: string };
    const expected = task.reading.offeredTo(topic);
    if (Number(fetchedOffset) === expected) return true;
    const bounds = (await this.#bounds()).get(batch.topic)?.[batch.partition];
    if (bounds !== undefined && bounds.earliest > expected) {
      throw new RecordsLostError(batch.topic, batch.partition, expected, bounds.earliest, 'reading on');
    }
    if (bounds !== undefined && bounds.next < expected) {
      const why = `it ends at offset ${bounds.next}, and ${expected} was reached before`;
      throw new TopicRecreatedError(batch.topic, batch.partition, why);
    }
    this.#consumer.seek({
      topic: batch.topic,
      partition: batch.partition,
      offset: String(task.reading.offeredTo(topic)),
    });
    return false;
  }

  /** Reads what the task has been offered, as far as no topic must wait for another; then topics may be fetched again. */
  async #readOn(task: Task, goOn: () => Promise<boolean>): Promise<void> {
    try {
      while (task.readSome(STRIDE)) {
        task.commitSoon();
        const begun = Date.now();
        do {
          if (Date.now() - begun < STUCK_AFTER_MS && !(await goOn())) return;
        } while (task.full && (await task.relieve(RELIEF_MS)));
      }
      task.commitSoon();
      this.#topics.forEach((_, topic) => {
        if (!task.reading.waiting(topic)) this.#resume(task, topic);
      });
    } catch (error) {
      this.#fail(task, error);
    }
  }

  /** Has a task's topics fetched from where it is. */
  #seek(task: Task): void {
    task.reading.forgetOffers();
    this.#ask(() => {
      this.#topics.forEach((topic, index) => {
        this.#paused.delete(`${index} ${task.number}`);
        this.#consumer.seek({ topic, partition: task.number, offset: String(task.reading.position(index)) });
      });
      this.#consumer.resume(this.#topics.map((topic) => ({ topic, partitions: [task.number] })));
    });
  }

  #pauseAll(number: number): void {
    this.#ask(() => this.#consumer.pause(this.#topics.map((topic) => ({ topic, partitions: [number] }))));
  }

  #pause(task: Task, index: number): void {
    this.#paused.add(`${index} ${task.number}`);
    this.#ask(() => this.#consumer.pause([{ topic: this.#topics[index], partitions: [task.number] }]));
  }

  #resume(task: Task, index: number): void {
    if (!this.#paused.delete(`${index} ${task.number}`)) return;
    this.#ask(() => this.#consumer.resume([{ topic: this.#topics[index], partitions: [task.number] }]));
  }

  /** Between a crash of the consumer and its restart there is nobody to ask; the next assignment sets everything anew. */
  #ask(what: () => void): void {
    try {
      what();
    } catch (error) {
      if (isOurs(error)) throw error;
    }
  }
}
