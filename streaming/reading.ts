import type { KafkaMessage } from 'kafkajs';
import { RecordReader } from '../platform/record-reader.ts';
import { TopicRecreatedError } from './errors.ts';
import { markOf, type TaskState, type TopicOffset } from './task-state.ts';
import type { LogBounds } from './topics.ts';

/** A topic that was read to its end is quiet when nothing came for this long. */
export const QUIET_AFTER_MS = 5_000;
/** A topic that is this much ahead of another in event time waits for it. */
const MOST_AHEAD_MS = 3 * 60 * 60 * 1000;
/** Event times jump seldom: it is enough to look once in so many records whether another topic is to come first. */
const LOOK_EVERY = 64;

/** Records of a topic that were fetched and are still to be read; `end` is the offset after them. */
interface Offer {
  reader: RecordReader;
  end: number;
}

/**
 * What was fetched of the topics of one partition number, and in which order it is read into the state. Each topic's last
 * committed record is looked at once more: by it, a topic that was re-created is noticed.
 */
export class Reading {
  readonly #number: number;
  readonly #topics: readonly string[];
  readonly #state: TaskState;
  /** By topic: the offset up to which records had been committed when the task was taken. */
  readonly committedAtStart: readonly number[];
  readonly #marks: readonly TopicOffset['last'][];
  /** By topic: where its last committed record stands, which is before what is to be read and is still to be looked at. */
  readonly #toVerify: (number | null)[];
  /** By topic: the offset of the log's next record, as far as known; when the last record came. */
  readonly #high: number[];
  readonly #arrivedAt: number[];
  readonly #offers: (Offer | null)[];
  /** Kafka timestamps of a sample of what was read and is to be committed. */
  #stamps: number[] = [];
  /** When what was committed was last read again. */
  #rebuiltAt = Date.now();

  /**
   * @param offsets what is committed, by topic
   * @param bounds of the logs, by topic
   */
  constructor(
    number: number,
    topics: readonly string[],
    state: TaskState,
    offsets: Readonly<Record<string, TopicOffset>>,
    bounds: readonly LogBounds[],
  ) {
    this.#number = number;
    this.#topics = topics;
    this.#state = state;
    this.committedAtStart = topics.map((topic) => offsets[topic]?.next ?? 0);
    this.#marks = topics.map((topic) => offsets[topic]?.last ?? null);
    this.#toVerify = this.#marks.map((mark, topic) => {
      const offset = mark?.offset ?? -1;
      return offset >= bounds[topic].earliest && offset < state.position(topic) ? offset : null;
    });
    this.#high = bounds.map(({ next }) => next);
    this.#arrivedAt = topics.map(() => Date.now());
    this.#offers = topics.map(() => null);
  }

  /** The next offset to read of a topic. */
  position(topic: number): number {
    return this.#toVerify[topic] ?? this.#state.position(topic);
  }

  /** Whether state is still being rebuilt: nothing can be committed before it is whole. */
  get recovering(): boolean {
    return this.committedAtStart.some((_, topic) => this.#rebuilding(topic));
  }

  /** When it last got on rebuilding. */
  get rebuiltAt(): number {
    return this.#rebuiltAt;
  }

  /** The offset of a log's next record, as far as known. */
  end(topic: number): number {
    return this.#high[topic];
  }

  noteEnd(topic: number, next: number): void {
    this.#high[topic] = Math.max(this.#high[topic], next);
  }

  /** Gives the next messages of a topic to read; `end` is the offset after them. */
  offer(topic: number, messages: readonly KafkaMessage[], end: number): void {
    const waiting = this.#offers[topic];
    if (waiting === null) {
      this.#offers[topic] = { reader: new RecordReader(messages, this.position(topic)), end };
    } else {
      waiting.reader.add(messages);
      waiting.end = end;
    }
  }

  /** The offset after what was offered of a topic: where the next batch begins. */
  offeredTo(topic: number): number {
    return this.#offers[topic]?.end ?? this.position(topic);
  }

  /** The group may give others what was offered: it is fetched again from the positions on. */
  forgetOffers(): void {
    this.#offers.fill(null);
  }

  /** Whether some of what was offered of a topic is still to be read. */
  waiting(topic: number): boolean {
    return this.#offers[topic] !== null;
  }

  get anyWaiting(): boolean {
    return this.#offers.some((offer) => offer !== null);
  }

  /** Behind what was offered there is no record for us up to this offset. */
  skipTo(topic: number, offset: number): void {
    const waiting = this.#offers[topic];
    if (waiting === null) this.#moveTo(topic, offset);
    else waiting.end = Math.max(waiting.end, offset);
  }

  #moveTo(topic: number, offset: number): void {
    const toVerify = this.#toVerify[topic];
    if (toVerify !== null && offset > toVerify) this.#toVerify[topic] = null;
    if (offset > this.#state.position(topic)) this.#state.skipTo(topic, offset);
  }

  /**
   * Reads some of what was offered, as long as it is not full. @returns whether there was anything that need not wait
   *
   * @throws TopicRecreatedError where the last committed record is another one now
   * @throws UnreadableRecordError
   */
  readSome(atMost: number, full: () => boolean): boolean {
    let left = atMost;
    for (const [topic, offer] of this.#offers.entries()) {
      if (offer === null) continue;
      const { reader } = offer;
      let recovering = this.recovering;
      let read = 0;
      for (; left > 0 && !full() && !reader.atEnd; read++, left--) {
        if (read % LOOK_EVERY === 0 || recovering) {
          if (this.#mustWait(topic)) break;
          recovering = this.recovering;
        }
        if (!reader.next()) break;
        if (read % LOOK_EVERY === 0) this.#sample(topic, reader);
        this.#read(topic, reader);
      }
      if (read > 0) this.#arrivedAt[topic] = Date.now();
      if (reader.atEnd) {
        this.#moveTo(topic, offer.end);
        this.#offers[topic] = null;
        left--;
      }
    }
    return left < atMost;
  }

  /** The sample of Kafka timestamps since the last call: of one record in 64, and the first of each stride. */
  takeStamps(): number[] {
    const stamps = this.#stamps;
    this.#stamps = [];
    return stamps;
  }

  /** By topic: whether it is read to its end. */
  atEnds(): boolean[] {
    return this.#topics.map((_, topic) => this.#atEnd(topic));
  }

  /** By topic: whether it is read to its end and nothing has come for a while. */
  quiet(): boolean[] {
    return this.#topics.map((_, topic) => this.#atEnd(topic) && this.#stale(topic));
  }

  #rebuilding(topic: number): boolean {
    return this.#toVerify[topic] !== null || this.#state.position(topic) < this.committedAtStart[topic];
  }

  /**
   * Whether reading a topic must wait: while the state of the others is being rebuilt, and while it is far ahead of
   * another topic in event time.
   */
  #mustWait(topic: number): boolean {
    if (this.recovering) return !this.#rebuilding(topic);
    const others = this.#topics.map((_, other) => other).filter((other) => other !== topic && !this.#idle(other));
    if (others.length === 0) return false;
    return this.#state.clock(topic) - Math.min(...others.map((other) => this.#state.clock(other))) > MOST_AHEAD_MS;
  }

  #read(topic: number, record: RecordReader): void {
    const { offset } = record;
    const mark = this.#marks[topic];
    if (mark?.offset === offset) {
      const found = markOf(record);
      if (found.hash !== mark.hash || found.stampedAt !== mark.stampedAt) {
        const why = `the record at offset ${offset} is not the one that was committed last`;
        throw new TopicRecreatedError(this.#topics[topic], this.#number, why);
      }
      this.#toVerify[topic] = null;
    }
    if (offset < this.#state.position(topic)) return;
    this.#state.read(topic, record, offset < this.committedAtStart[topic]);
  }

  #sample(topic: number, { offset, stampedAt }: RecordReader): void {
    if (offset >= this.committedAtStart[topic]) this.#stamps.push(stampedAt);
    else this.#rebuiltAt = Date.now();
  }

  #atEnd(topic: number): boolean {
    return this.#state.position(topic) >= this.#high[topic];
  }

  #stale(topic: number): boolean {
    return Date.now() - this.#arrivedAt[topic] > QUIET_AFTER_MS;
  }

  /** Nothing is expected of the topic just now, so no other should wait for it. */
  #idle(topic: number): boolean {
    return this.#atEnd(topic) || this.#stale(topic);
  }
}
