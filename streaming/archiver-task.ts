import { ArchiveFileSweptError } from '../archive/errors.ts';
import { type ArchiveFile, FORMAT, type LogPlace } from '../archive/file.ts';
import { type ArchivePlaces, publishFile } from '../archive/publish.ts';
import type { ArchiveWriter, FileRange, RecordBuffer } from '../archive/writer.ts';
import { parseRecord } from '../attribution/validate.ts';
import type { Logger } from '../platform/log.ts';
import { type Outage, waitOut } from '../platform/outage.ts';
import { isPassing, isStoragePassing } from '../platform/passing.ts';
import { RecordPlace, type RecordReader } from '../platform/record-reader.ts';
import type { Pool } from '../platform/postgres.ts';
import type { ArchiveView } from './archive-health.ts';
import type { FileCommit } from './archive-metrics.ts';
import { commitFileAgain, type OnArchiveStep } from './archiver-commit.ts';
import { errorOf, FencedError, RecordsLostError, TopicRecreatedError } from './errors.ts';
import { type ArchiveFence, noteEnd, type RecordMark, takeArchiveTask } from './sql/archive-tasks.ts';
import { markOf } from './task-state.ts';
import type { LogBounds } from './topics.ts';

export interface ArchiveTaskOptions {
  topic: string;
  partition: number;
  /** Bounds of its log. */
  bounds: LogBounds;
  pool: Pool;
  log: Logger;
  outage: Outage;
  /** Is told where no file can be stored. */
  trouble: Outage;
  places: ArchivePlaces;
  writer: ArchiveWriter;
  /** Where the log no longer holds what was to be read, begin with what it holds. */
  acceptDataLoss: boolean;
  /** Its last record was found to be another one, and the loss accepted. */
  recreated: boolean;
  /** Told when a commit went through, and when the task can go on no longer. */
  onCommit: (commit: FileCommit) => void;
  onLost: (reason: Error) => void;
  onStep?: OnArchiveStep;
}

/** A range of the log that is to become a file. */
interface Range {
  from: number;
  to: number;
  buffer: RecordBuffer | null;
  /** No record where none was read. */
  last: RecordPlace;
}

/**
 * Archives one topic-partition: gathers records, and rolls them into a file and a commit. It is taken from whoever had it
 * before, and ends when another takes it. One file after the other: each is written when the one before it is committed.
 */
export class ArchiveTask {
  readonly topic: string;
  readonly partition: number;
  readonly #options: ArchiveTaskOptions;
  readonly #task: number;
  readonly #epoch: number;
  /** What is committed, as the fence compares it. */
  #committed: LogPlace;
  #previous: string | null;
  /** The last record committed, of this log. */
  #mark: RecordMark | null;
  /** The log that is read. */
  readonly #log: number;
  #position: number;
  #from: number;
  #buffer: RecordBuffer | null = null;
  #last = new RecordPlace();
  #begunAt = 0;
  /** Size of the records gathered, and of those being written: of their JSON, which is about what they take in memory. */
  #bytes = 0;
  #writing = 0;
  #rolling: Promise<void> | null = null;
  #ended = false;
  /** The log's end as was last heard; when it last read or committed; since when and why it cannot commit. */
  #end: number;
  #progressAt = Date.now();
  #failing: { since: number; error: Error } | null = null;

  private constructor(
    options: ArchiveTaskOptions,
    fence: ArchiveFence,
    begin: LogPlace,
    mark: RecordMark | null,
    previous: string | null,
  ) {
    this.topic = options.topic;
    this.partition = options.partition;
    this.#options = options;
    this.#task = fence.task;
    this.#epoch = fence.epoch;
    this.#committed = fence.at;
    this.#log = begin.log;
    this.#from = begin.offset;
    this.#mark = mark;
    this.#previous = previous;
    this.#end = options.bounds.next;
    // The last record committed is read once more where it is still there: by it, a re-created topic is noticed.
    this.#position = mark !== null && mark.offset >= options.bounds.earliest ? mark.offset : begin.offset;
  }

  /**
   * Takes the task.
   *
   * @throws RecordsLostError, TopicRecreatedError where the log no longer is what the stored offset is of
   */
  static async take(options: ArchiveTaskOptions): Promise<ArchiveTask> {
    const { topic, partition, bounds, pool, log, acceptDataLoss, recreated } = options;
    const { task, epoch, last, last_path: previous, ...stored } = await takeArchiveTask(pool, topic, partition);
    const at: LogPlace = { log: stored.log, offset: stored.next_offset };
    const fence = { task, epoch, at };
    if (recreated) {
      return new ArchiveTask(options, fence, { log: at.log + 1, offset: bounds.earliest }, null, previous);
    }
    if (previous === null && at.offset < bounds.earliest) {
      // A log that was trimmed before it was ever read has lost nothing of ours.
      return new ArchiveTask(options, fence, { log: at.log, offset: bounds.earliest }, null, null);
    }
    const fault = faultOf(topic, partition, at.offset, bounds);
    if (fault === null) return new ArchiveTask(options, fence, at, last, previous);
    if (!acceptDataLoss) throw fault;
    log.warn({ topic, partition }, `accepting data loss: ${fault.message}`);
    const begin = {
      log: fault instanceof TopicRecreatedError ? at.log + 1 : at.log,
      offset: bounds.earliest,
    };
    return new ArchiveTask(options, fence, begin, null, previous);
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** The next offset to read. */
  get position(): number {
    return this.#position;
  }

  /** The offset up to which it was rolled: where the next file begins. */
  get rolledTo(): number {
    return this.#from;
  }

  /** Whether something was read that is not yet rolled. */
  get pending(): boolean {
    return this.#position > this.#from;
  }

  /** Whether everything read is committed. */
  get settled(): boolean {
    return !this.pending && this.#rolling === null;
  }

  get rolling(): boolean {
    return this.#rolling !== null;
  }

  get rows(): number {
    return this.#buffer?.rows ?? 0;
  }

  /** Bytes gathered and not yet rolled. */
  get gathered(): number {
    return this.#bytes;
  }

  /** Bytes that take memory: gathered, and being written. */
  get held(): number {
    return this.#bytes + this.#writing;
  }

  /** For how long the oldest of what is pending has waited, milliseconds. */
  get pendingMs(): number {
    return this.pending ? Date.now() - this.#begunAt : 0;
  }

  /** Gets ready to read. */
  async prepare(): Promise<void> {
    if (this.#buffer !== null || this.#ended) return;
    const buffer = await this.#options.writer.begin();
    if (this.#buffer !== null || this.#ended) await buffer.drop();
    else this.#buffer = buffer;
  }

  /** Whether records can be read. Another's roll may come between `prepare` and whoever waited for it. */
  get prepared(): boolean {
    return this.#buffer !== null;
  }

  /**
   * Reads the next record, when `prepared`; one before the position is passed over.
   *
   * @throws TopicRecreatedError where the last committed record is another one now
   */
  read(record: RecordReader): void {
    if (this.#buffer === null) throw new Error(`${this.topic}/${this.partition} is not prepared to read`);
    const { offset, stampedAt, value } = record;
    if (offset < this.#position) return;
    if (offset === this.#mark?.offset) this.#compare(record, this.#mark);
    this.#moveTo(offset + 1);
    if (offset < this.#from) return;
    this.#last.copy(record);
    const read = parseRecord(value, stampedAt);
    if (!read.ok) return;
    this.#buffer.append({ offset, stampedAt, event: read.event });
    this.#bytes += value?.length ?? 0;
  }

  /** Offsets without records for us (markers of transactions, compacted records) are passed over. */
  skipTo(offset: number): void {
    if (offset > this.#position) this.#moveTo(offset);
  }

  /** How it is, for health and metrics. */
  view(): ArchiveView {
    return {
      topic: this.topic,
      partition: this.partition,
      committed: this.#committed.log === this.#log ? this.#committed.offset : this.#from,
      position: this.#position,
      end: this.#end,
      progressAt: this.#progressAt,
      pendingMs: this.pendingMs,
      failing: this.#failing,
    };
  }

  /** Makes a file of what is pending, and commits it; resolves when that is done, or the task is lost. */
  async roll(): Promise<void> {
    while (this.#rolling !== null) await this.#rolling;
    if (!this.pending || this.#ended) return;
    const range = { from: this.#from, to: this.#position, buffer: this.#buffer, last: this.#last };
    this.#writing = this.#bytes;
    this.#buffer = null;
    this.#last = new RecordPlace();
    this.#bytes = 0;
    this.#from = range.to;
    this.#rolling = this.#archive(range).finally(() => {
      this.#rolling = null;
      this.#writing = 0;
    });
    await this.#rolling;
  }

  /** The log was asked for its end just now, `ageMs` ago, and told `end`. */
  async noteEnd(end: number, ageMs: number): Promise<void> {
    this.#end = end;
    if (this.#ended || !this.settled || this.#position !== end) return;
    await noteEnd(this.#options.pool, this.#fence(), ageMs);
  }

  /** The task is no longer ours, or no longer wanted: nothing more is begun. Resolves when its memory is free. */
  async abandon(): Promise<void> {
    this.#ended = true;
    await this.#rolling;
    const buffer = this.#buffer;
    this.#buffer = null;
    await buffer?.drop();
  }

  #moveTo(position: number): void {
    if (!this.pending) this.#begunAt = this.#progressAt = Date.now();
    this.#position = position;
  }

  #compare(record: RecordPlace, mark: RecordMark): void {
    const found = markOf(record);
    if (found.hash === mark.hash && found.stampedAt === mark.stampedAt) return;
    const why = `the record at offset ${mark.offset} is not the one that was committed last`;
    throw new TopicRecreatedError(this.topic, this.partition, why);
  }

  #fence(): ArchiveFence {
    return { task: this.#task, epoch: this.#epoch, at: this.#committed };
  }

  async #archive({ from, to, buffer: gathered, last }: Range): Promise<void> {
    const { writer, onStep } = this.#options;
    const begun = Date.now();
    try {
      const buffer = gathered ?? (await writer.begin());
      try {
        const file = await this.#publish(buffer, {
          format: FORMAT,
          topic: this.topic,
          partition: this.partition,
          log: this.#log,
          from,
          to,
          after: this.#committed,
          previous: this.#previous,
          createdAt: Date.now(),
        });
        await onStep?.('published');
        const mark = last.offset < 0 ? this.#mark : markOf(last);
        await this.#commit(file, mark);
        this.#committed = { log: this.#log, offset: to };
        this.#previous = file.path;
        this.#mark = mark;
        this.#progressAt = Date.now();
        this.#failing = null;
        this.#options.onCommit({ rows: file.rows, bytes: file.bytes, tookMs: this.#progressAt - begun });
      } finally {
        await buffer.drop();
      }
    } catch (error) {
      if (this.#ended) return;
      this.#ended = true;
      this.#options.onLost(errorOf(error));
    }
  }

  /** A file that cannot be stored is kept in memory, and reading waits when that is full. */
  async #publish(buffer: RecordBuffer, range: FileRange): Promise<ArchiveFile> {
    const { places, trouble } = this.#options;
    const publish = () => {
      if (this.#ended) throw new FencedError(this.#task, this.#epoch);
      return publishFile(places, buffer, range);
    };
    return waitOut(publish, {
      outage: trouble,
      part: archivePartOf(this.topic, this.partition),
      passes: isStoragePassing,
      firstMs: 500,
      onFailure: (error) => {
        if (isStoragePassing(error)) this.#failing ??= { since: Date.now(), error };
      },
    });
  }

  async #commit(file: Parameters<typeof commitFileAgain>[3], mark: RecordMark | null): Promise<void> {
    const { pool, places, outage, onStep } = this.#options;
    let tries = 0;
    const commit = () => {
      if (this.#ended && tries > 0) throw new FencedError(this.#task, this.#epoch);
      tries++;
      return commitFileAgain(pool, places.storage, this.#fence(), file, mark, onStep);
    };
    try {
      await waitOut(commit, {
        outage,
        part: archivePartOf(this.topic, this.partition),
        passes: isPassing,
        onFailure: (error) => (this.#failing ??= { since: Date.now(), error }),
      });
    } catch (error) {
      // A file that was fenced off can never be committed.
      if (error instanceof FencedError && !this.#ended) await places.storage.delete(file.path).catch(() => {});
      throw error;
    }
  }
}

/** What a task is to an outage. */
export function archivePartOf(topic: string, partition: number): string {
  return `archive ${topic}/${partition}`;
}

/** Losing a task so is no failure of this process: it may take it again. */
export function mayRetake(reason: Error): boolean {
  return reason instanceof FencedError || reason instanceof ArchiveFileSweptError;
}

/** What is wrong between the stored offset and the log, or null. */
function faultOf(topic: string, partition: number, from: number, log: LogBounds): Error | null {
  if (from > log.next) {
    return new TopicRecreatedError(topic, partition, `it ends at offset ${log.next}, and ${from} was reached before`);
  }
  if (from < log.earliest) return new RecordsLostError(topic, partition, from, log.earliest, 'reading on');
  return null;
}
