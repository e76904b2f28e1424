import type { Event } from '../events.ts';
import { CLASS_CODES, type Policy } from '../policy.ts';
import { DAY } from '../time.ts';
import { ByteReader, ByteWriter, hashOf, sameText } from './bytes.ts';
import { CHECKSUM_BYTES, CHUNK_RECORDS, type Chunk, LATE_FLAG, PLAYBACK_FLAG, SHADOWED_FLAG } from './chunk.ts';
import { EventFields, TEXT } from './event-fields.ts';
import { HeldChunks } from './held-chunks.ts';
import { Interner } from './interner.ts';
import { KeyTable } from './keys.ts';
import { NumberIndex } from './number-index.ts';
import { releasePayload, splitPlace, writePayload, type Dictionaries } from './record.ts';

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

/** What a store holds at a moment. Records that were appended never change, so they need not be copied. */
export interface FactsCut {
  store: Pick<FactStore, 'keys' | 'profiles' | 'works'>;
  /** Oldest first: how many records of each, and the places of those that were shadowed. */
  chunks: readonly { chunk: Chunk; count: number; shadowed: readonly number[] }[];
  places: ReturnType<Interner['entries']>;
  labels: ReturnType<Interner['entries']>;
}

export interface LostFact {
  key: number;
  eventTime: number;
}

/** So much of what was dropped is given back with each record that comes: no record waits for all of it. */
const SWEPT_A_RECORD = 4;

/** Nothing is known of the payload: neither it nor a copy of it is a conflict. */
export const NO_CHECKSUM = 0;

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
export class FactStore {
  readonly keys = new KeyTable();
  readonly profiles = new Interner();
  readonly works = new Interner();
  readonly dictionaries: Dictionaries = {
    places: new Interner((place, text) => this.#classify(place, text)),
    labels: new Interner(),
  };
  /** By place number: the class of its row type and surface, `CLASS_CODES`. */
  placeClass = new Uint8Array(256);
  readonly #classOf: Policy['classOf'];
  readonly #copyMemory: number;
  readonly #chunks = new HeldChunks();
  readonly #index = new NumberIndex((number) => this.#chunks.findUnswept(number).hash[number % CHUNK_RECORDS]);
  readonly #candidates: number[] = [];
  readonly #fields = new EventFields();
  /** Writes each record to where it stands, behind those of the open chunk. */
  readonly #writer = new ByteWriter();
  readonly #reader = new ByteReader();

  /** @param copyMemory how long a copy is known, in milliseconds of event time; the speed layer's by default */
  constructor(policy: Pick<Policy, 'classOf'>, copyMemory = COPY_MEMORY_MS) {
    this.#classOf = policy.classOf;
    this.#copyMemory = copyMemory;
  }

  /** How many chunks were ever begun: a change says that the record just taken began one. */
  get chunksBegun(): number {
    return this.#chunks.begun;
  }

  /** How many records are held, those that only let copies be recognised included. */
  get records(): number {
    return this.#chunks.live.reduce((sum, chunk) => sum + chunk.count, 0);
  }

  /** Bytes of memory of the records and their index; keys and dictionaries not included. */
  get footprint(): number {
    return this.#chunks.live.reduce((sum, chunk) => sum + chunk.footprint, this.#index.footprint);
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
    if (this.#chunks.unswept) this.sweep(SWEPT_A_RECORD);
    const writer = this.#writer;
    const { bytes, begin, end, eventTime } = event;
    const clockAfter = Math.max(clock, eventTime);
    const chunk = this.#chunks.open(clockAfter);
    writer.open(chunk.bytes, chunk.used);
    writer.span(bytes, begin[TEXT.eventId], end[TEXT.eventId]);
    const idEnd = writer.length;
    const profile = this.profiles.acquireBytes(bytes, begin[TEXT.profileId], end[TEXT.profileId]);
    const playbackFlag = event.isPlayback ? PLAYBACK_FLAG : 0;
    const hash = identityHash(writer.bytes, chunk.used, idEnd, profile, playbackFlag);
    const known = this.#findCopies(hash, chunk.used, profile, playbackFlag, eventTime, source, clock);

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

  /** The key of a profile and a work, -1 where no record names it. */
  keyOf(profileId: string, workId: string): number {
    const profile = this.profiles.find(profileId);
    const work = this.works.find(workId);
    return profile < 0 || work < 0 ? -1 : this.keys.find(profile, work);
  }

  /** Whether any playback event was ever linked to a key: without one there is no play. */
  hasPlayback(key: number): boolean {
    return this.keys.flags[key] !== 0;
  }

  /** The greatest time of the playback events held of a key, epoch milliseconds; -Infinity where there is none. */
  latestPlayback(key: number): number {
    let latest = -Infinity;
    for (let number = this.keys.head[key]; number >= 0;) {
      const chunk = this.#chunks.find(number);
      if (chunk === null) break;
      const place = number % CHUNK_RECORDS;
      if (chunk.time[place] > latest && (chunk.flags(place) & PLAYBACK_FLAG) !== 0) latest = chunk.time[place];
      number = chunk.previous[place];
    }
    return latest;
  }

  /** The numbers of a key's records that count, newest first, into `into`; returns how many. */
  recordsOf(key: number, into: number[]): number {
    let count = 0;
    for (let number = this.keys.head[key]; number >= 0;) {
      const chunk = this.#chunks.find(number);
      // The chain ends where its older part was dropped with its chunk.
      if (chunk === null) break;
      const place = number % CHUNK_RECORDS;
      if (chunk.shadowed.size === 0 || !chunk.shadowed.has(place)) into[count++] = number;
      number = chunk.previous[place];
    }
    return count;
  }

  /** Leaves records out of a key's facts. They stay known, so that copies of them are recognised. */
  leaveOut(key: number, left: ReadonlySet<number>): void {
    let kept = -1;
    const link = (number: number) => {
      if (kept < 0) this.keys.head[key] = number;
      else this.chunkOf(kept).previous[kept % CHUNK_RECORDS] = number;
      kept = number;
    };
    for (let number = this.keys.head[key]; number >= 0;) {
      const chunk = this.#chunks.find(number);
      if (chunk === null) break;
      if (!left.has(number)) link(number);
      number = chunk.previous[number % CHUNK_RECORDS];
    }
    link(-1);
  }

  chunkOf(number: number): Chunk {
    const chunk = this.#chunks.find(number);
    if (chunk === null) throw new RangeError(`Record ${number} is no longer held`);
    return chunk;
  }

  /** The oldest chunk that is complete, which can be dropped, or null. */
  oldestClosed(): Chunk | null {
    return this.#chunks.oldestClosed;
  }

  /** The keys with playback events that have a record in a chunk. */
  keysWithPlayback(chunk: Chunk): number[] {
    const keys = new Set<number>();
    for (let place = 0; place < chunk.count; place++)
      if (this.hasPlayback(chunk.key[place])) keys.add(chunk.key[place]);
    return [...keys];
  }

  /** Drops the oldest chunk with all its records. What they took is given back bit by bit, as more is observed, or by `sweep`. */
  dropOldest(): void {
    this.#chunks.dropOldest();
  }

  /** Gives back what dropped records took: their places in the index, their keys and strings. */
  sweep(atMost = Infinity): void {
    this.#chunks.sweep(atMost, (chunk, place) => this.#release(chunk, place));
  }

  #release(chunk: Chunk, place: number): void {
    const reader = this.#reader.open(chunk.bytes, chunk.flagsAt(place));
    const isPlayback = (reader.byte() & PLAYBACK_FLAG) !== 0;
    reader.varint();
    reader.varint();
    reader.at += CHECKSUM_BYTES;
    if (isPlayback) reader.varint();
    releasePayload(reader, isPlayback, this.dictionaries);
    this.#index.remove(chunk.hash[place], chunk.serial * CHUNK_RECORDS + place);
    const key = chunk.key[place];
    // A head in a dropped chunk is the last of its chain; the key may live on for records that only tell copies.
    if (Math.floor(this.keys.head[key] / CHUNK_RECORDS) === chunk.serial) this.keys.head[key] = -1;
    this.#releaseKey(key);
  }

  /** What is held now, to be written down while more is added; nothing may be dropped before that is done. */
  cut(): FactsCut {
    // The uses of strings are counted without what was dropped.
    this.sweep();
    const chunks = this.#chunks.live.map((chunk) => ({ chunk, count: chunk.count, shadowed: [...chunk.shadowed] }));
    const { places, labels } = this.dictionaries;
    return { store: this, chunks, places: places.entries(), labels: labels.entries() };
  }

  /** Begins to restore a store that is empty: the strings of its dictionaries, by number. */
  restoreDictionary(name: keyof Dictionaries, number: number, text: string, uses: number): void {
    this.dictionaries[name].restore(number, text, uses);
  }

  /**
   * Begins to restore the next chunk, the oldest first.
   *
   * @param serial as it was: it is part of the numbers of records, of which chunks that are gone may have had others
   */
  restoreChunk(serial: number, begunAt: number, records: number, bytes: number, shadowed: readonly number[]): Chunk {
    const chunk = this.#chunks.restore(serial, begunAt);
    chunk.reserve(records, bytes);
    shadowed.forEach((place) => chunk.shadowed.add(place));
    return chunk;
  }

  /**
   * Restores the next record of the newest chunk; its key, profile and work have been restored.
   *
   * @param otherChecksum its payload's checksum is of another kind than those to come: it is overwritten in `bytes`
   */
  restoreRecord(chunk: Chunk, bytes: Uint8Array, time: number, key: number, otherChecksum: boolean): void {
    const reader = this.#reader.open(bytes, 0);
    reader.skipText();
    const idLength = reader.at;
    const flags = reader.byte();
    reader.varint();
    const clock = time + reader.varint();
    if (otherChecksum) bytes.fill(NO_CHECKSUM, reader.at, reader.at + CHECKSUM_BYTES);
    const isPlayback = (flags & PLAYBACK_FLAG) !== 0;
    const linked = (flags & (LATE_FLAG | SHADOWED_FLAG)) === 0;
    const profile = this.keys.profile[key];
    const hash = identityHash(bytes, 0, idLength, profile, flags & PLAYBACK_FLAG);
    const end = chunk.copy(bytes);
    const place = chunk.append(chunk.bytes, end, time, clock, key, linked ? this.keys.head[key] : -1, hash);
    this.#index.add(hash, chunk.serial * CHUNK_RECORDS + place);
    if (linked) this.#link(key, chunk, place, isPlayback);
    this.keys.uses[key]++;
    this.profiles.use(profile);
  }

  /** Restores a key's name; a name that is there already is left as it is. */
  restoreKey(key: number, profile: number, work: number): void {
    // Every key counts once for its work.
    if (this.keys.restore(key, profile, work)) this.works.use(work);
  }

  /** All has been restored. */
  restored(): void {
    this.keys.restored();
    for (const strings of [this.profiles, this.works, this.dictionaries.places, this.dictionaries.labels]) {
      strings.restored();
    }
  }

  #checksumOf(number: number): number {
    const chunk = this.chunkOf(number);
    const reader = this.#reader.open(chunk.bytes, chunk.flagsAt(number % CHUNK_RECORDS) + 1);
    reader.varint();
    reader.varint();
    return reader.uint32();
  }

  #shadow(number: number): LostFact {
    const chunk = this.chunkOf(number);
    const place = number % CHUNK_RECORDS;
    chunk.shadowed.add(place);
    return { key: chunk.key[place], eventTime: chunk.time[place] };
  }

  /** Appends the record that was written behind those of the chunk. */
  #append(chunk: Chunk, event: EventFields, clock: number, profile: number, hash: number, linked: boolean): number {
    const key = this.#acquireKey(profile, event);
    const previous = linked ? this.keys.head[key] : -1;
    const { bytes, length } = this.#writer;
    const place = chunk.append(bytes, length, event.eventTime, clock, key, previous, hash);
    this.#index.add(hash, chunk.serial * CHUNK_RECORDS + place);
    if (linked) this.#link(key, chunk, place, event.isPlayback);
    return key;
  }

  #link(key: number, chunk: Chunk, place: number, isPlayback: boolean): void {
    this.keys.head[key] = chunk.serial * CHUNK_RECORDS + place;
    if (isPlayback) this.keys.flags[key] = 1;
  }

  /** Every record counts once for its key, and every key once for its work and once for each record's profile. */
  #acquireKey(profile: number, { bytes, begin, end, work: text }: EventFields): number {
    let work = this.works.findBytes(bytes, begin[text], end[text]);
    let key = work < 0 ? -1 : this.keys.find(profile, work);
    if (key < 0) {
      work = this.works.acquireBytes(bytes, begin[text], end[text]);
      key = this.keys.add(profile, work);
    }
    this.keys.uses[key]++;
    return key;
  }

  #releaseKey(key: number): void {
    this.profiles.release(this.keys.profile[key]);
    if (--this.keys.uses[key] > 0) return;
    this.works.release(this.keys.work[key]);
    this.keys.remove(key);
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
    const count = this.#index.find(hash, this.#candidates);
    for (let i = 0; i < count; i++) {
      const number = this.#candidates[i];
      const chunk = this.#chunks.find(number);
      // Dropped, and not swept yet.
      if (chunk === null) continue;
      const place = number % CHUNK_RECORDS;
      if (chunk.hash[place] !== hash || !sameText(chunk.bytes, chunk.textAt[place], text, textAt)) continue;
      const reader = this.#reader.open(chunk.bytes, chunk.flagsAt(place));
      const flags = reader.byte();
      if (this.keys.profile[chunk.key[place]] !== profile || (flags & PLAYBACK_FLAG) !== playbackFlag) continue;
      const otherSource = reader.varint();
      const clockThen = chunk.time[place] + reader.varint();
      if (otherSource === source && clock - clockThen <= this.#copyMemory) return { copy: number, shadowed, shadows };
      const same = Math.abs(chunk.time[place] - eventTime) <= this.#copyMemory;
      if ((flags & LATE_FLAG) !== 0 || !same) continue;
      if (otherSource <= source) shadowed = true;
      else shadows = [...shadows, number];
    }
    return shadowed || shadows.length > 0 ? { copy: -1, shadowed, shadows } : NO_COPIES;
  }

  #classify(place: number, text: string): void {
    if (place >= this.placeClass.length) {
      const grown = new Uint8Array(this.placeClass.length * 2);
      grown.set(this.placeClass);
      this.placeClass = grown;
    }
    const { surface, rowType } = splitPlace(text);
    this.placeClass[place] = CLASS_CODES[this.#classOf(rowType, surface).class];
  }
}

function differ(one: number, other: number): boolean {
  return one !== other && one !== NO_CHECKSUM && other !== NO_CHECKSUM;
}

/** Of the written event id, the profile and the type. */
function identityHash(bytes: Uint8Array, at: number, end: number, profile: number, playbackFlag: number): number {
  return hashOf(bytes, at, end, Math.imul(profile * 2 + playbackFlag, 0x9e3779b1));
}
