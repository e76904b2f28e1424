import { setTimeout as sleep } from 'node:timers/promises';
import type { Batch, Consumer, EachBatchPayload } from 'kafkajs';
import type { ArchivePlaces } from '../archive/publish.ts';
import type { ArchiveWriter } from '../archive/writer.ts';
import type { Health } from '../platform/health.ts';
import { KAFKA_PART } from '../platform/kafka.ts';
import { Outage, type OutageWords } from '../platform/outage.ts';
import { RecordReader } from '../platform/record-reader.ts';
import { healthOfArchive, type ArchiveView } from './archive-health.ts';
import type { ArchiverOptions } from './archiver.ts';
import { archivePartOf, ArchiveTask, mayRetake } from './archiver-task.ts';
import { errorOf, isOurs, isServerAway, RecordsLostError, TopicRecreatedError } from './errors.ts';
import type { TasksSeen } from './task-health.ts';
import type { LogBounds } from './topics.ts';

/** A task that another process took is taken back after this long, where the group still gives it to us. */
const RETAKE_AFTER_MS = 1_000;
/** How many records are read between two looks at heartbeat and memory. */
const STRIDE = 1_000;
/** While reading waits, how often it is looked whether it still must. */
const WAIT_MS = 200;
/** Back-pressure keeps the membership alive for this long without a commit; then others may try. */
const STUCK_AFTER_MS = 60_000;
/** Who is told to stop waits this long for the last files. */
const SETTLE_MS = 10_000;
const STORAGE_WORDS: OutageWords = {
  began: 'the archive cannot be stored: waiting, nothing is lost',
  ended: 'the archive is stored again, going on',
};

/** When a file is rolled; whichever comes first. */
export interface RollLimits {
  rows: number;
  /** Of the records' JSON. */
  bytes: number;
  /** Since its first record was read, milliseconds. */
  ms: number;
  /** Bytes that all tasks of the process hold together: beyond, the largest is rolled; beyond twice as much, reading waits. */
  heldBytes: number;
}

type Bounds = () => Promise<ReadonlyMap<string, readonly LogBounds[]>>;

/** The archive tasks of this process, and what the consumer does with each of their partitions. */
export class ArchiveTaskSet {
  readonly #options: ArchiverOptions & { lookMs: number };
  readonly #outage: Outage;
  readonly #trouble: Outage;
  readonly #limits: RollLimits;
  readonly #places: ArchivePlaces;
  readonly #writer: ArchiveWriter;
  readonly #consumer: Consumer;
  readonly #bounds: Bounds;
  readonly #tasks = new Map<string, ArchiveTask>();
  /** What the group gives us, each with a count of how often: a stale take-over finds itself outdated. */
  #assigned = new Map<string, number>();
  #generation = 0;
  /** Partitions whose re-creation was noticed and accepted. */
  readonly #recreated = new Set<string>();
  /** Where tasks are not to wait for company, by topic-partition: a file is rolled once its task is there. */
  #targets: ReadonlyMap<string, number> = new Map();
  #stopping = false;
  readonly #ending = new Set<Promise<void>>();
  /** When the group last gave us partitions; when Kafka last said where its logs end, and why it does not now. */
  #assignedAt: number | null = null;
  #ends: TasksSeen['ends'] = { seenAt: Date.now(), fault: null };
  #looking = false;
  onProgress: () => void = () => {};
  onFatal: (error: Error) => void = () => {};

  constructor(
    options: ArchiverOptions & { outage: Outage; lookMs: number },
    limits: RollLimits,
    places: ArchivePlaces,
    writer: ArchiveWriter,
    consumer: Consumer,
    bounds: Bounds,
  ) {
    this.#options = options;
    this.#outage = options.outage;
    this.#trouble = new Outage(options.log, STORAGE_WORDS);
    this.#limits = limits;
    this.#places = places;
    this.#writer = writer;
    this.#consumer = consumer;
    this.#bounds = bounds;
  }

  /** The group has assigned partitions anew: takes the new ones, drops those that are others' now. */
  assign(assignment: Record<string, number[]>): void {
    const names = Object.entries(assignment).flatMap(([topic, numbers]) => numbers.map((n) => nameOf(topic, n)));
    this.#generation++;
    this.#assignedAt = Date.now();
    for (const name of this.#assigned.keys()) if (!names.includes(name)) this.#outage.ended(partOf(name));
    this.#assigned = new Map(names.map((name) => [name, this.#generation]));
    for (const [name, task] of this.#tasks) {
      if (this.#assigned.has(name)) {
        this.#seek(task);
      } else {
        this.#tasks.delete(name);
        this.#end(task);
      }
    }
    const fresh = names.filter((name) => !this.#tasks.has(name));
    for (const name of fresh) this.#ask(() => this.#consumer.pause([placeOf(name)]));
    this.#options.log.info({ partitions: assignment }, 'partitions assigned');
    void this.#take(fresh, this.#generation);
  }

  /** Reads a batch into its task, as fast as files can be written and committed. */
  async readBatch(payload: EachBatchPayload): Promise<void> {
    const { batch } = payload;
    const task = this.#tasks.get(nameOf(batch.topic, batch.partition));
    const stale = () => !payload.isRunning() || payload.isStale() || task?.ended !== false || this.#stopping;
    if (task === undefined || stale()) return;
    try {
      if (!(await this.#continues(task, batch))) return;
      const reader = new RecordReader(batch.messages, task.position);
      while (!reader.atEnd) {
        do {
          if (!(await this.#makeRoom(task, () => payload.heartbeat(), stale))) return;
        } while (!task.prepared);
        for (let read = 0; read < STRIDE && reader.next(); read++) task.read(reader);
        this.#rollWhereDue();
      }
      task.skipTo(Number(batch.lastOffset()) + 1);
      this.#rollWhereDue();
    } catch (error) {
      if (!isOurs(error)) throw error;
      if (error instanceof TopicRecreatedError && this.#options.acceptDataLoss) this.#acceptRecreation(task, error);
      else this.onFatal(error);
    }
  }

  /** Records that are none of ours are passed over where that leaves no gap. */
  skipTo(topic: string, partition: number, first: number, end: number): void {
    const task = this.#tasks.get(nameOf(topic, partition));
    if (task?.ended === false && first <= task.position) task.skipTo(end);
  }

  /** From here on, tasks that have reached these offsets do not wait for company. */
  rollAt(targets: ReadonlyMap<string, number>): void {
    this.#targets = targets;
    this.#rollWhereDue();
  }

  tick(): void {
    if (this.#outage.isWaiting(KAFKA_PART) && !this.#looking) {
      this.#looking = true;
      void this.noteEnds()
        .catch(() => {})
        .finally(() => (this.#looking = false));
    }
    this.#rollWhereDue();
  }

  /** Looks where the logs end: a partition that is read to its end and stays so is complete some time. */
  async noteEnds(): Promise<void> {
    const asked = performance.now();
    const waiting = this.#outage.isWaiting(KAFKA_PART);
    const bounds = await this.#bounds().catch((error: unknown) => {
      this.#ends.fault = errorOf(error);
      // Whoever leaves ends the connection of a look that is under way.
      if (!this.#stopping) this.#outage.began(KAFKA_PART, error);
      throw error;
    });
    this.#ends = { seenAt: Date.now(), fault: null };
    if (waiting) this.#outage.ended(KAFKA_PART);
    for (const task of this.#tasks.values()) {
      const end = bounds.get(task.topic)?.[task.partition]?.next;
      if (end !== undefined) await task.noteEnd(end, performance.now() - asked);
    }
  }

  /** How each is that this process archives. */
  views(): ArchiveView[] {
    return [...this.#tasks.values()].map((task) => task.view());
  }

  health(): Health {
    const health = healthOfArchive({
      views: this.views(),
      untaken: [...this.#assigned.keys()].filter((name) => !this.#tasks.has(name)),
      assignedAt: this.#assignedAt,
      ends: this.#ends,
      rollMs: this.#limits.ms,
      lookMs: this.#options.lookMs,
      now: Date.now(),
      stalledAfterMs: this.#options.stalledAfterMs,
    });
    return { ...health, ready: this.#generation > 0 && this.#tasks.size === this.#assigned.size };
  }

  /** Reads no more, and commits all that was read. */
  async settle(): Promise<void> {
    this.#stopping = true;
    // A roll that is under way comes first, then what was read since.
    const rolls = Promise.all([...this.#tasks.values()].map((task) => task.roll()));
    // While a server is away nothing can be committed, and nothing is lost: it is read again.
    await Promise.race([rolls, sleep(SETTLE_MS, undefined, { ref: false })]);
  }

  /** Resolves when all memory is free. */
  async abandon(): Promise<void> {
    this.#stopping = true;
    this.#assigned.clear();
    for (const task of this.#tasks.values()) this.#end(task);
    await Promise.all(this.#ending);
  }

  #end(task: ArchiveTask): void {
    const ending = task.abandon().catch((error: unknown) => this.onFatal(errorOf(error)));
    this.#ending.add(ending);
    void ending.finally(() => this.#ending.delete(ending));
  }

  async #take(names: readonly string[], generation: number): Promise<void> {
    // Whoever is about to leave leaves them to those who stay.
    if (names.length === 0 || this.#stopping) return;
    const current = (name: string) => !this.#stopping && this.#assigned.get(name) === generation;
    try {
      const bounds = await this.#bounds();
      for (const name of names.filter(current)) {
        const { topic, partitions } = placeOf(name);
        const [partition] = partitions;
        const task = await ArchiveTask.take({
          topic,
          partition,
          bounds: bounds.get(topic)?.[partition] ?? { earliest: 0, next: 0 },
          pool: this.#options.pool,
          log: this.#options.log,
          outage: this.#outage,
          trouble: this.#trouble,
          places: this.#places,
          writer: this.#writer,
          acceptDataLoss: this.#options.acceptDataLoss ?? false,
          recreated: this.#recreated.delete(name),
          onStep: this.#options.onStep,
          onCommit: (commit) => {
            this.#options.metrics?.committed(commit);
            this.onProgress();
          },
          onLost: (reason) => this.#lose(name, reason),
        });
        if (!current(name)) {
          this.#end(task);
          continue;
        }
        this.#outage.ended(partOf(name));
        this.#tasks.set(name, task);
        this.#options.metrics?.tookTask();
        this.#seek(task);
        this.#ask(() => this.#consumer.resume([placeOf(name)]));
      }
    } catch (error) {
      if (!isServerAway(error)) {
        this.onFatal(errorOf(error));
        return;
      }
      // Kafka or Postgres is away: the group still counts on us for these.
      for (const name of names.filter((each) => current(each) && !this.#tasks.has(each))) {
        this.#outage.began(partOf(name), error);
        this.#retake(name, RETAKE_AFTER_MS);
      }
    }
  }

  /** A task is no longer ours. Where the group still gives it to us, whoever took it was mistaken: take it back. */
  #lose(name: string, reason: Error): void {
    const task = this.#tasks.get(name);
    this.#tasks.delete(name);
    if (task !== undefined) this.#end(task);
    if (!mayRetake(reason)) {
      this.onFatal(reason);
      return;
    }
    this.#options.metrics?.fenced();
    this.#options.log.warn({ archive: name }, reason.message);
    this.#retake(name, RETAKE_AFTER_MS);
  }

  #retake(name: string, afterMs: number): void {
    const generation = this.#assigned.get(name);
    if (generation === undefined) return;
    this.#ask(() => this.#consumer.pause([placeOf(name)]));
    setTimeout(() => {
      if (this.#assigned.get(name) === generation) void this.#take([name], generation);
    }, afterMs).unref();
  }

  #acceptRecreation(task: ArchiveTask, error: TopicRecreatedError): void {
    const name = nameOf(task.topic, task.partition);
    this.#options.log.warn({ archive: name }, `accepting data loss: ${error.message}`);
    this.#recreated.add(name);
    this.#tasks.delete(name);
    this.#end(task);
    this.#retake(name, 0);
  }

  /**
   * Whether a batch was fetched from where we are; see the speed layer's of the same name.
   *
   * @throws RecordsLostError, TopicRecreatedError
   */
  async #continues(task: ArchiveTask, batch: Batch): Promise<boolean> {
    // Part of kafkajs's Batch, though not of its types.
    const { fetchedOffset } = batch as Batch & { fetchedOffset: string };
    const expected = task.position;
    if (Number(fetchedOffset) === expected) return true;
    const { topic, partition } = task;
    const bounds = (await this.#bounds()).get(topic)?.[partition];
    if (bounds !== undefined && bounds.earliest > expected) {
      throw new RecordsLostError(topic, partition, expected, bounds.earliest, 'reading on');
    }
    if (bounds !== undefined && bounds.next < expected) {
      const why = `it ends at offset ${bounds.next}, and ${expected} was reached before`;
      throw new TopicRecreatedError(topic, partition, why);
    }
    this.#seek(task);
    return false;
  }

  /** Waits while there is too much to write. @returns false where reading is to end */
  async #makeRoom(task: ArchiveTask, heartbeat: () => Promise<void>, stale: () => boolean): Promise<boolean> {
    const begun = Date.now();
    for (;;) {
      if (Date.now() - begun < STUCK_AFTER_MS) await heartbeat();
      if (stale()) return false;
      const full = task.rolling && (task.rows >= this.#limits.rows || task.gathered >= this.#limits.bytes);
      if (!full && this.#held() < 2 * this.#limits.heldBytes) break;
      await sleep(WAIT_MS);
    }
    await task.prepare();
    return !stale();
  }

  #held(): number {
    let held = 0;
    for (const task of this.#tasks.values()) held += task.held;
    return held;
  }

  #rollWhereDue(): void {
    const { rows, bytes, ms, heldBytes } = this.#limits;
    let largest: ArchiveTask | null = null;
    for (const [name, task] of this.#tasks) {
      if (task.rolling || !task.pending) continue;
      const target = this.#targets.get(name);
      const awaited = target !== undefined && task.position >= target && task.rolledTo < target;
      if (task.rows >= rows || task.gathered >= bytes || task.pendingMs >= ms || awaited) void task.roll();
      else if (task.gathered > (largest?.gathered ?? 0)) largest = task;
    }
    if (largest !== null && this.#held() > heldBytes) void largest.roll();
  }

  #seek({ topic, partition, position }: ArchiveTask): void {
    this.#ask(() => this.#consumer.seek({ topic, partition, offset: String(position) }));
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

/** A topic-partition as one text: topics have no slash in their names. */
export function nameOf(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}

function placeOf(name: string): { topic: string; partitions: [number] } {
  const slash = name.lastIndexOf('/');
  return { topic: name.slice(0, slash), partitions: [Number(name.slice(slash + 1))] };
}

function partOf(name: string): string {
  const { topic, partitions } = placeOf(name);
  return archivePartOf(topic, partitions[0]);
}
