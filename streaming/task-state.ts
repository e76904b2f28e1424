import { createHash } from 'node:crypto';
import { LogClock } from '../attribution/clock.ts';
import { derive, type PlayDecision } from '../attribution/derive.ts';
import { EventFields } from '../attribution/facts/event-fields.ts';
import { FactStore } from '../attribution/facts/fact-store.ts';
import type { FactsCut } from '../attribution/facts/held-records.ts';
import { KeyView } from '../attribution/facts/key-view.ts';
import { xxh32 } from '../attribution/facts/xxh32.ts';
import { describePlay } from '../attribution/plays.ts';
import { playRow } from '../attribution/play-row.ts';
import type { Policy } from '../attribution/policy.ts';
import { DAY, isoTime } from '../attribution/time.ts';
import { projectRecord } from '../attribution/project.ts';
import { parseRecord, type Rejection } from '../attribution/validate.ts';
import { RecordPlace, type RecordReader } from '../platform/record-reader.ts';
import { capKey, isCrowded, MOST_FACTS } from './cap-key.ts';
import { LedgerCounts, type LedgerRow } from './ledger.ts';
import { PlaysToWrite, type SpeedPlayRow } from './plays-to-write.ts';
import { reachOf, ReplayMarks, type ReplayPoint, type SavedMarks } from './replay-marks.ts';
import { letterOf } from './replayed-letter.ts';

/** Where a topic has been applied to, and a mark by which its last applied record is known again. */
export interface TopicOffset {
  /** The next offset to apply. */
  next: number;
  /** Kafka timestamp and hash of the record before it; null where nothing was read. */
  last: { offset: number; stampedAt: number; hash: string } | null;
}

export interface DeadLetterRow {
  topic: string;
  offset: number;
  epoch_day: number;
  reason: Rejection['reason'];
  field: string | null;
  message: string;
  /** Hexadecimal, as Postgres reads bytea. */
  key: string | null;
  value: string | null;
  stamped_at: string;
  /** The dead letter that it was before, sent again; nulls where it says of none. */
  token: string | null;
  letter: number | null;
}

/** A key whose plays may have changed, from those that end at `affected_from` on. */
export interface TouchedKey {
  profile_id: string;
  work_id: string;
  affected_from: string;
}

/** Everything that one commit writes. */
export interface Delta {
  /** Records since the last commit. */
  records: number;
  offsets: Record<string, TopicOffset>;
  replay: Record<string, ReplayPoint>;
  /** Epoch milliseconds, null where unknown. */
  watermark: number | null;
  touched: TouchedKey[];
  plays: PlaysToWrite;
  /** Facts that were left out of keys that have too many. */
  capped: number;
  ledger: LedgerRow[];
  deadLetters: DeadLetterRow[];
}

/** What a state is at a moment: what a checkpoint writes. */
export interface StateCut {
  topics: readonly string[];
  /** By topic: the next offset to read, and the clock. */
  next: number[];
  clocks: number[];
  marks: SavedMarks;
  facts: FactsCut;
}

/** The same, restored. */
export type RestoredState = Omit<StateCut, 'topics' | 'facts'> & { store: FactStore };

/**
 * What one task knows: the facts, the clocks and positions of its topics, and what has changed since the last commit. It
 * does no I/O and reads no clock: the same records in the same order per topic give the same deltas, however they are cut.
 */
export class TaskState {
  readonly topics: readonly string[];
  readonly #task: number;
  readonly #policy: Policy;
  readonly #mostFacts: number;
  readonly #store: FactStore;
  readonly #view: KeyView;
  readonly #fields = new EventFields();
  readonly #clocks: LogClock[];
  readonly #marks: ReplayMarks;
  readonly #ledger = new LedgerCounts();
  /** By topic: the next offset to read; the last record read since the last delta, no record where there was none. */
  readonly #next: number[];
  readonly #last: RecordPlace[];
  readonly #lastCommitted: (TopicOffset['last'] | null)[];
  #deadLetters: DeadLetterRow[] = [];
  /** The keys with new facts, and the earliest event time of these. */
  readonly #dirty = new Map<number, number>();
  #records = 0;
  #letterBytes = 0;
  /** The smallest clock when the last delta was taken. */
  #derivedTo = -Infinity;

  /**
   * @param topics in code unit order
   * @param offsets what was committed, by topic
   * @param replay where reading begins, by topic
   * @param restored from a checkpoint: reading begins where that was made
   * @param mostFacts of a key; a quarter more before the oldest are left out
   */
  constructor(
    task: number,
    topics: readonly string[],
    policy: Policy,
    offsets: Readonly<Record<string, TopicOffset>>,
    replay: Readonly<Record<string, ReplayPoint>>,
    restored?: RestoredState,
    mostFacts = MOST_FACTS,
  ) {
    this.#task = task;
    this.#mostFacts = mostFacts;
    this.topics = topics;
    this.#policy = policy;
    this.#store = restored?.store ?? new FactStore(policy);
    this.#view = new KeyView(this.#store);
    this.#clocks = topics.map((topic, index) => {
      const clock = new LogClock();
      clock.advance(restored?.clocks[index] ?? replay[topic]?.clock ?? -Infinity);
      return clock;
    });
    this.#next = topics.map((topic, index) => restored?.next[index] ?? replay[topic]?.offset ?? 0);
    this.#last = topics.map(() => new RecordPlace());
    this.#lastCommitted = topics.map((topic) => offsets[topic]?.last ?? null);
    this.#marks = new ReplayMarks(topics, policy, replay, restored?.marks);
  }

  /** The next offset to read of a topic. */
  position(topic: number): number {
    return this.#next[topic];
  }

  /** The clock of a topic: its greatest event time so far. */
  clock(topic: number): number {
    return this.#clocks[topic].now;
  }

  /** Records read since the last delta. */
  get pending(): number {
    return this.#records;
  }

  /** Bytes of the dead letters since the last delta. */
  get pendingBytes(): number {
    return this.#letterBytes;
  }

  /** Records held in memory. */
  get held(): number {
    return this.#store.records;
  }

  /** Bytes that these take. */
  get heldBytes(): number {
    return this.#store.footprint;
  }

  /**
   * Reads the next record of a topic. What was committed comes first, of all topics; nothing may be derived before.
   *
   * @param committed the record was committed before: it rebuilds state and counts for nothing
   */
  read(topic: number, record: RecordReader, committed: boolean): void {
    const { offset, stampedAt } = record;
    const rejection = this.#parse(record, stampedAt >= 0 ? stampedAt : Infinity);
    const clock = this.#clocks[topic];
    if (rejection === null) {
      const { eventTime } = this.#fields;
      const begun = this.#store.chunksBegun;
      const late = clock.isLate(eventTime, this.#policy.rules.speed);
      const known = this.#marks.onlyKnown(topic, offset);
      // A hash is never taken for none.
      const checksum = xxh32(record.view, record.begin, record.end) || 1;
      const observed = this.#store.observeFields(this.#fields, topic, clock.now, late || known, checksum, offset);
      if (this.#store.chunksBegun !== begun) this.#marks.begin(this.#pointsBefore(topic, offset));
      clock.advance(eventTime);
      if (!committed) {
        this.#ledger.count(this.topics[topic], eventTime, observed.outcome, observed.conflict);
        this.#touch(observed.key, eventTime);
        for (const { key, eventTime: lostTime } of observed.lost) this.#touch(key, lostTime);
      }
    } else if (!committed) {
      this.#deadLetter(this.topics[topic], record, rejection);
    }
    this.#next[topic] = offset + 1;
    this.#last[topic].copy(record);
    if (!committed) this.#records++;
  }

  /** Reads a record into the fields. @returns why it is no event, null where it is one */
  #parse(record: RecordReader, stampedAt: number): Rejection | null {
    if (record.begin >= 0 && projectRecord(record, stampedAt, this.#fields)) return null;
    const validation = parseRecord(record.value, stampedAt);
    if (!validation.ok) return validation.rejection;
    this.#fields.set(validation.event);
    return null;
  }

  /** The log has no record between the position and this offset (transaction markers, compaction). */
  skipTo(topic: number, offset: number): void {
    this.#next[topic] = offset;
  }

  /** Derives what has changed, and gives all that is to be written. What is taken is not given again. */
  takeDelta(quiet: readonly boolean[]): Delta {
    const touched: TouchedKey[] = [];
    const plays = new PlaysToWrite();
    const rules = this.#policy.rules.speed;
    const openSince = Math.min(...this.#clocks.map((clock) => clock.now)) - rules.stitchingGap - rules.allowedLateness;
    let capped = 0;
    for (const [key, since] of this.#dirty) {
      // Impressions after the last playback event: no play begins at or after any of them, so none can change.
      if (this.#store.latestPlayback(key) < since) continue;
      // What ended before this had its facts dropped: it stays as it is.
      const affectedFrom = Math.max(since - rules.stitchingGap, this.#marks.frozenBefore, 0);
      const view = this.#view.load(key);
      if (isCrowded(view, this.#mostFacts)) capped += capKey(this.#store, view, key, rules, openSince, this.#mostFacts);
      touched.push({
        profile_id: view.profileId,
        work_id: view.workId,
        affected_from: isoTime(affectedFrom),
      });
      for (const decision of derive(view, rules)) {
        // What ended more than a stitching gap before the first new fact is as it was, and its facts may be gone.
        if (decision.endedAt < affectedFrom) continue;
        const row = playRow(describePlay(decision, view), this.#policy);
        // Spreading so many into one object costs more than deriving the play.
        plays.add(Object.assign(row, { task: this.#task }, this.#lastEventsOf(decision)), this.#policy);
      }
    }
    const delta: Delta = {
      records: this.#records,
      offsets: Object.fromEntries(this.topics.map((name, topic) => [name, this.#offsetOf(topic)])),
      replay: this.#marks.replayPoints(),
      watermark: finiteOrNull(this.watermark(quiet)),
      touched,
      plays,
      capped,
      ledger: this.#ledger.take(),
      deadLetters: this.#deadLetters,
    };
    this.#dirty.clear();
    this.#deadLetters = [];
    this.#letterBytes = 0;
    this.#records = 0;
    this.#derivedTo = Math.min(...this.#clocks.map((clock) => clock.now));
    return delta;
  }

  /**
   * What is known, to be written down while more is read. To be called when a delta was just taken, which must be committed
   * before a checkpoint of this counts; nothing may be evicted before it is written.
   */
  cut(): StateCut {
    return {
      topics: this.topics,
      next: [...this.#next],
      clocks: this.#clocks.map((clock) => clock.now),
      marks: this.#marks.save(),
      facts: this.#store.cut(),
    };
  }

  /**
   * The greatest event time that is surely read: the smallest over the topics, those left out that were read to their end
   * and are quiet. Where all are, nothing holds it back.
   */
  watermark(quiet: readonly boolean[]): number {
    const clocks = this.#clocks.map((clock) => clock.now);
    const holding = clocks.filter((_, topic) => !quiet[topic]);
    return holding.length > 0 ? Math.min(...holding) : Math.max(...clocks);
  }

  /**
   * Drops chunks of facts that nothing on time can need any more: no play that is open, and none to come. Measured by the
   * smallest clock of all topics, quiet or not, so that what is dropped is never missed; and by the clocks when the last
   * delta was taken, since what was read after it is still to be derived.
   */
  evict(): void {
    const watermark = this.#derivedTo;
    for (;;) {
      const chunk = this.#store.oldestClosed();
      if (chunk === null || !this.#marks.mayDrop(chunk, watermark)) return;
      if (this.#store.keysWithPlayback(chunk).some((key) => this.#needs(key, chunk.greatestTime, watermark))) {
        this.#marks.postpone(watermark);
        return;
      }
      this.#marks.drop(chunk, watermark);
      this.#store.dropOldest();
    }
  }

  /** Whether an open play of the key needs facts up to a time: its own events, or those within its reach. */
  #needs(key: number, upTo: number, watermark: number): boolean {
    const rules = this.#policy.rules.speed;
    const open = watermark - rules.stitchingGap - rules.allowedLateness;
    // Most keys were last played long ago; a play ends with one of its events.
    if (this.#store.latestPlayback(key) < open) return false;
    return derive(this.#view.load(key), rules).some(
      (play) => play.endedAt >= open && play.startedAt - reachOf(rules) <= upTo,
    );
  }

  /** By topic: the last offset of the playback events between the first and the last of a play of the loaded key. */
  #lastEventsOf({ firstEvent, endedAt }: PlayDecision): Pick<SpeedPlayRow, 'event_topics' | 'event_offsets'> {
    const last = new Map<number, number>();
    const { count, time } = this.#view.playbacks;
    for (let i = firstEvent; i < count && time[i] <= endedAt; i++) {
      const { source, offset } = this.#view.playbackPlace(i);
      last.set(source, Math.max(offset, last.get(source) ?? 0));
    }
    return { event_topics: [...last.keys()].map((source) => this.topics[source]), event_offsets: [...last.values()] };
  }

  #touch(key: number, eventTime: number): void {
    // Without a playback event there is no play; the first that comes touches the key itself, and plays begin with one.
    if (key < 0 || !this.#store.hasPlayback(key)) return;
    const since = this.#dirty.get(key);
    if (since === undefined || eventTime < since) this.#dirty.set(key, eventTime);
  }

  #deadLetter(topic: string, record: RecordReader, rejection: Rejection): void {
    const { offset, stampedAt, key, value } = record;
    // Without an event day, and without a usable timestamp, a record still has a day: that of the epoch.
    const at = rejection.eventTime ?? Math.max(stampedAt, 0);
    this.#ledger.count(topic, at, 'dead_lettered');
    this.#letterBytes += (key?.length ?? 0) + (value?.length ?? 0);
    this.#deadLetters.push({
      topic,
      offset,
      epoch_day: Math.floor(at / DAY),
      reason: rejection.reason,
      field: rejection.field,
      message: rejection.message,
      key: bytea(key),
      value: bytea(value),
      stamped_at: new Date(Math.max(stampedAt, 0)).toISOString(),
      ...(letterOf(record) ?? { token: null, letter: null }),
    });
  }

  /** Positions and clocks just before a record that is being taken. */
  #pointsBefore(topic: number, offset: number): Record<string, ReplayPoint> {
    return Object.fromEntries(
      this.topics.map((name, other) => [
        name,
        { offset: other === topic ? offset : this.#next[other], clock: finiteOrNull(this.#clocks[other].now) },
      ]),
    );
  }

  #offsetOf(topic: number): TopicOffset {
    const last = this.#last[topic];
    if (last.offset >= 0) {
      this.#lastCommitted[topic] = markOf(last);
      // It holds all that was fetched with it.
      last.clear();
    }
    return { next: this.#next[topic], last: this.#lastCommitted[topic] };
  }
}

/** By which a record is known again. */
export function markOf({ offset, stampedAt, key, value }: RecordPlace): NonNullable<TopicOffset['last']> {
  const hash = createHash('sha256')
    .update(key ?? '')
    .update('\0')
    .update(value ?? '');
  return { offset, stampedAt, hash: hash.digest('hex').slice(0, 16) };
}

/** A time as JSON and Postgres hold it: null where nothing is known yet. */
export function finiteOrNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

function bytea(bytes: Buffer | null): string | null {
  return bytes === null ? null : `\\x${bytes.toString('hex')}`;
}
