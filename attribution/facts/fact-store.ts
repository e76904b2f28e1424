import type { Event } from '../events.ts';
import type { Policy } from '../policy.ts';
import { DAY } from '../time.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import {
  CHECKSUM_BYTES,
  CHUNK_RECORDS,
  type Chunk,
  LATE_FLAG,
  NO_CHECKSUM,
  PLAYBACK_FLAG,
  SHADOWED_FLAG,
} from './chunk.ts';
import { EventFields, TEXT } from './event-fields.ts';
import { HeldRecords, identityHash } from './held-records.ts';
import { writePayload } from './record.ts';

/** A copy is recognised for this long, in event time of the log that it stands in. */
export const COPY_MEMORY_MS = DAY;
export type Outcome = 'applied' | 'excluded' | 'late' | 'duplicate';

/** What became of a valid record. */
export interface Observed {
  outcome: Outcome;
  /** A duplicate that differs from the event that counts. */
  conflict: boolean;
  /** The key that has a new fact, -1 where none has. */
  key: number;
  /** Facts that no longer count, since this record is the same event in a smaller source. Mostly none. */
  lost: readonly LostFact[];
}

export interface LostFact {
  key: number;
  eventTime: number;
}

/** So much of what was dropped is given back with each record that comes: no record waits for all of it. */
const SWEPT_A_RECORD = 4;

const NONE: readonly number[] = [];
const NO_COPIES = { copy: -1, shadowed: false, shadows: NONE };
const NO_FACTS: readonly LostFact[] = [];
const NOTHING_CHANGED = { key: -1, lost: NO_FACTS };

/**
 * The facts that the speed layer holds, as a set: the same events in any order make the same set, and a copy changes
 * nothing. It holds one record an event in flat arrays (about a hundred bytes each), linked by key, newest first.
 *
 * A source is one topic-partition. Of copies in several sources the one of the smallest source counts, so sources are
 * numbered in the order of (topic, partition).
 */
export class FactStore extends HeldRecords {
  readonly #copyMemory: number;
  readonly #candidates: number[] = [];
  readonly #fields = new EventFields();
  /** Writes each record to where it stands, behind those of the open chunk. */
  readonly #writer = new ByteWriter();
  readonly #reader = new ByteReader();

  /** @param copyMemory how long a copy is known, in milliseconds of event time; the speed layer's by default */
  constructor(policy: Pick<Policy, 'classOf'>, copyMemory = COPY_MEMORY_MS) {
    super(policy);
    this.#copyMemory = copyMemory;
  }

  /**
   * Takes a valid record.
   *
   * @param clock the greatest event time of the valid records earlier in the same source; -Infinity at its beginning
   * @param late the record is late by its source's clock: it is known from now on, but never applied
   * @param checksum 32 bits of the payload: copies that differ in them are conflicts, `NO_CHECKSUM` is none
   * @param offset where the record stands in its source
   */
  observe(event: Event, source: number, clock: number, late: boolean, checksum = NO_CHECKSUM, offset = 0): Observed {
    return this.observeFields(this.#fields.set(event), source, clock, late, checksum, offset);
  }

  /** The same of an event whose fields stand in the bytes of its record. */
  observeFields(
    event: EventFields,
    source: number,
    clock: number,
    late: boolean,
    checksum: number,
    offset: number,
  ): Observed {
    if (this.chunks.unswept) this.sweep(SWEPT_A_RECORD);
    const writer = this.#writer;
    const { bytes, begin, end, eventTime } = event;
    const clockAfter = Math.max(clock, eventTime);
    const chunk = this.chunks.open(clockAfter);
    const { bytes: into, used: textAt } = chunk.open;
    writer.open(into, textAt);
    writer.span(bytes, begin[TEXT.eventId], end[TEXT.eventId]);
    const idEnd = writer.length;
    const profile = this.profiles.acquireBytes(event, begin[TEXT.profileId], end[TEXT.profileId]);
    const playbackFlag = event.isPlayback ? PLAYBACK_FLAG : 0;
    const hash = identityHash(writer.bytes, textAt, idEnd, profile, playbackFlag);
    const known = this.#findCopies(hash, textAt, profile, playbackFlag, eventTime, source, clock);

    const flagsAt = writer.length;
    writer.byte(playbackFlag | (late ? LATE_FLAG : 0));
    writer.varint(source);
    writer.varint(clockAfter - eventTime);
    writer.uint32(checksum);
    const checksumEnd = writer.length;
    if (playbackFlag !== 0) writer.varint(offset);
    writePayload(writer, event, this.dictionaries);

    if (known.copy >= 0) {
      const counting = this.#checksumOf(known.copy);
      // The copy is remembered too: whether a record is a copy then depends on the last 24 hours of its log alone.
      writer.bytes[flagsAt] |= LATE_FLAG;
      writer.patchUint32(checksumEnd - CHECKSUM_BYTES, counting);
      this.#append(chunk, event, clockAfter, profile, hash, false);
      return { outcome: 'duplicate', conflict: differ(counting, checksum), ...NOTHING_CHANGED };
    }
    if (late) {
      this.#append(chunk, event, clockAfter, profile, hash, false);
      return { outcome: 'late', conflict: false, ...NOTHING_CHANGED };
    }
    const outcome = event.isExcluded ? 'excluded' : 'applied';
    if (known.shadowed) {
      writer.bytes[flagsAt] |= SHADOWED_FLAG;
      this.#append(chunk, event, clockAfter, profile, hash, false);
      return { outcome, conflict: false, ...NOTHING_CHANGED };
    }
    const lost = known.shadows.length > 0 ? known.shadows.map((number) => this.#shadow(number)) : NO_FACTS;
    return { outcome, conflict: false, key: this.#append(chunk, event, clockAfter, profile, hash, true), lost };
  }

  #checksumOf(number: number): number {
    const chunk = this.chunkOf(number);
    const reader = chunk.openText(this.#reader, number % CHUNK_RECORDS);
    reader.skipText();
    reader.byte();
    reader.varint();
    reader.varint();
    return reader.uint32();
  }

  #shadow(number: number): LostFact {
    const chunk = this.chunkOf(number);
    const place = number % CHUNK_RECORDS;
    chunk.shadowed.add(place);
    return { key: chunk.keyOf(place), eventTime: chunk.timeOf(place) };
  }

  /** Appends the record that was written behind those of the chunk. @returns its key */
  #append(chunk: Chunk, event: EventFields, clock: number, profile: number, hash: number, counts: boolean): number {
    const key = this.#acquireKey(profile, event);
    const { bytes, length } = this.#writer;
    this.append(chunk, bytes, length, event.eventTime, clock, key, hash, event.isPlayback, counts);
    return key;
  }

  /** Every record counts once for its key, and every key once for its work and once for each record's profile. */
  #acquireKey(profile: number, event: EventFields): number {
    const { begin, end, work: text } = event;
    const known = this.works.findBytes(event, begin[text], end[text]);
    const key = known < 0 ? -1 : this.keys.find(profile, known);
    return key < 0 ? this.keys.add(profile, this.works.acquireBytes(event, begin[text], end[text])) : key;
  }

  /**
   * Looks up the records of the event whose id stands at a place of what is being written. A copy in the same source is known
   * by that log's clock. Across sources (which have no common order), and after that, records are the same event where
   * their times are no further apart: so it is never asked of a record whether it is still held, and what was dropped is
   * never missed.
   */
  #findCopies(
    hash: number,
    textAt: number,
    profile: number,
    playbackFlag: number,
    eventTime: number,
    source: number,
    clock: number,
  ) {
    let shadowed = false;
    let shadows = NONE;
    const text = this.#writer.bytes;
    const reader = this.#reader;
    const count = this.find(hash, this.#candidates);
    for (let i = 0; i < count; i++) {
      const number = this.#candidates[i];
      const flags = this.openIfOf(reader, number, text, textAt, profile, playbackFlag);
      if (flags < 0) continue;
      const otherSource = reader.varint();
      const time = this.chunkOf(number).timeOf(number % CHUNK_RECORDS);
      const clockThen = time + reader.varint();
      if (otherSource === source && clock - clockThen <= this.#copyMemory) return { copy: number, shadowed, shadows };
      const same = Math.abs(time - eventTime) <= this.#copyMemory;
      if ((flags & LATE_FLAG) !== 0 || !same) continue;
      if (otherSource <= source) shadowed = true;
      else shadows = [...shadows, number];
    }
    return shadowed || shadows.length > 0 ? { copy: -1, shadowed, shadows } : NO_COPIES;
  }
}

function differ(one: number, other: number): boolean {
  return one !== other && one !== NO_CHECKSUM && other !== NO_CHECKSUM;
}
