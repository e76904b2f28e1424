import { CLASS_CODES, type Policy } from '../policy.ts';
import { ByteReader, hashOf, sameText } from './bytes.ts';
import { CHUNK_RECORDS, type Chunk, LATE_FLAG, PLAYBACK_FLAG, skipToPayload } from './chunk.ts';
import { HeldChunks } from './held-chunks.ts';
import { Interner } from './interner.ts';
import { KeyTable } from './keys.ts';
import { NumberIndex } from './number-index.ts';
import { type Dictionaries, eachString, splitPlace } from './record.ts';

/** What is held at a moment. Records that were appended never change, so they need not be copied. */
export interface FactsCut {
  held: HeldRecords;
  /** Oldest first: how many records of each, and the places of those that were shadowed. */
  chunks: readonly { chunk: Chunk; count: number; shadowed: readonly number[] }[];
}

/**
 * The records that are held, in chunks, with what finds them: an index by event, and by key a chain of those that count,
 * newest first. Their keys and strings are counted by use, and given back when the last record that names them is dropped.
 */
export class HeldRecords {
  readonly keys = new KeyTable();
  readonly profiles = new Interner();
  readonly works = new Interner();
  readonly dictionaries: Dictionaries = {
    places: new Interner((place, text) => this.#classify(place, text)),
    labels: new Interner(),
  };
  /** By place number: the class of its row type and surface, `CLASS_CODES`. */
  placeClass = new Uint8Array(256);
  readonly chunks = new HeldChunks();
  readonly #classOf: Policy['classOf'];
  readonly #index = new NumberIndex();
  readonly #candidates: number[] = [];
  readonly #reader = new ByteReader();

  constructor(policy: Pick<Policy, 'classOf'>) {
    this.#classOf = policy.classOf;
  }

  /** How many chunks were ever begun: a change says that the record just taken began one. */
  get chunksBegun(): number {
    return this.chunks.begun;
  }

  /** How many records are held, those that only let copies be recognised included. */
  get records(): number {
    return this.chunks.live.reduce((sum, chunk) => sum + chunk.count, 0);
  }

  /** Bytes of memory of the records and their index; keys and dictionaries not included. */
  get footprint(): number {
    return this.chunks.live.reduce((sum, chunk) => sum + chunk.footprint, this.#index.footprint);
  }

  /**
   * Appends the record that was written behind those of a chunk's open block, and counts it for its key.
   *
   * @param bytes those of the block, or larger ones with the same in them
   * @param end of the record in them
   * @param hash `identityHash`
   * @param counts it is one of its key's facts
   */
  append(
    chunk: Chunk,
    bytes: Uint8Array<ArrayBuffer>,
    end: number,
    time: number,
    clock: number,
    key: number,
    hash: number,
    isPlayback: boolean,
    counts: boolean,
  ): void {
    const { keys } = this;
    const place = chunk.append(bytes, end, time, clock, key, counts ? keys.headOf(key) : -1);
    const number = chunk.serial * CHUNK_RECORDS + place;
    const former = counts ? -1 : this.#formerOf(chunk, place, hash);
    if (former < 0) this.#index.add(hash, number);
    else this.#index.replace(hash, former, number);
    keys.use(key);
    if (!counts) return;
    keys.setHead(key, number);
    if (isPlayback) keys.markPlayback(key);
  }

  /** The numbers of records with this hash into `into`, dropped ones that are not swept included. @returns how many */
  find(hash: number, into: number[]): number {
    return this.#index.find(hash, into);
  }

  /**
   * Of a record that only lets copies be recognised, the one before it of its event and source that does so, -1 where there is
   * none. It takes that one's place in the index, so that an event that is sent a million times has one: a source's clock never
   * goes back, so its last record recognises whatever an earlier one would.
   */
  #formerOf(chunk: Chunk, place: number, hash: number): number {
    const reader = chunk.openText(this.#reader, place);
    const { bytes, at } = reader;
    reader.skipText();
    const flags = reader.byte();
    if ((flags & LATE_FLAG) === 0) return -1;
    const source = reader.varint();
    const profile = this.keys.profileOf(chunk.keyOf(place));
    const count = this.find(hash, this.#candidates);
    for (let i = 0; i < count; i++) {
      const number = this.#candidates[i];
      const others = this.openIfOf(reader, number, bytes, at, profile, flags & PLAYBACK_FLAG);
      if (others >= 0 && (others & LATE_FLAG) !== 0 && reader.varint() === source) return number;
    }
    return -1;
  }

  /**
   * Points a reader behind the flags of a record, where it is held and of this event: its source follows.
   *
   * @param text in which the event's written id stands, at `textAt`
   * @returns its flags, -1 where it is not
   */
  protected openIfOf(
    reader: ByteReader,
    number: number,
    text: Uint8Array,
    textAt: number,
    profile: number,
    playbackFlag: number,
  ): number {
    const chunk = this.chunks.find(number);
    // Dropped, and not swept yet.
    if (chunk === null) return -1;
    const place = number % CHUNK_RECORDS;
    chunk.openText(reader, place);
    if (!sameText(reader.bytes, reader.at, text, textAt)) return -1;
    reader.skipText();
    const flags = reader.byte();
    const same = (flags & PLAYBACK_FLAG) === playbackFlag && this.keys.profileOf(chunk.keyOf(place)) === profile;
    return same ? flags : -1;
  }

  /** The key of a profile and a work, -1 where no record names it. */
  keyOf(profileId: string, workId: string): number {
    const profile = this.profiles.find(profileId);
    const work = this.works.find(workId);
    return profile < 0 || work < 0 ? -1 : this.keys.find(profile, work);
  }

  /** Whether any playback event was ever linked to a key: without one there is no play. */
  hasPlayback(key: number): boolean {
    return this.keys.hasPlayback(key);
  }

  /** The greatest time of the playback events held of a key, epoch milliseconds; -Infinity where there is none. */
  latestPlayback(key: number): number {
    let latest = -Infinity;
    for (let number = this.keys.headOf(key); number >= 0;) {
      const chunk = this.chunks.find(number);
      if (chunk === null) break;
      const place = number % CHUNK_RECORDS;
      const time = chunk.timeOf(place);
      if (time > latest && (chunk.flags(place) & PLAYBACK_FLAG) !== 0) latest = time;
      number = chunk.previousOf(place);
    }
    return latest;
  }

  /** The numbers of a key's records that count, newest first, into `into`; returns how many. */
  recordsOf(key: number, into: number[]): number {
    let count = 0;
    for (let number = this.keys.headOf(key); number >= 0;) {
      const chunk = this.chunks.find(number);
      // The chain ends where its older part was dropped with its chunk.
      if (chunk === null) break;
      const place = number % CHUNK_RECORDS;
      if (chunk.shadowed.size === 0 || !chunk.shadowed.has(place)) into[count++] = number;
      number = chunk.previousOf(place);
    }
    return count;
  }

  /** Leaves records out of a key's facts. They stay known, so that copies of them are recognised. */
  leaveOut(key: number, left: ReadonlySet<number>): void {
    let kept = -1;
    const link = (number: number) => {
      if (kept < 0) this.keys.setHead(key, number);
      else this.chunkOf(kept).setPrevious(kept % CHUNK_RECORDS, number);
      kept = number;
    };
    for (let number = this.keys.headOf(key); number >= 0;) {
      const chunk = this.chunks.find(number);
      if (chunk === null) break;
      if (!left.has(number)) link(number);
      number = chunk.previousOf(number % CHUNK_RECORDS);
    }
    link(-1);
  }

  chunkOf(number: number): Chunk {
    const chunk = this.chunks.find(number);
    if (chunk === null) throw new RangeError(`Record ${number} is no longer held`);
    return chunk;
  }

  /** The oldest chunk that is complete, which can be dropped, or null. */
  oldestClosed(): Chunk | null {
    return this.chunks.oldestClosed;
  }

  /** The keys with playback events that have a record in a chunk. */
  keysWithPlayback(chunk: Chunk): number[] {
    const keys = new Set<number>();
    for (const block of chunk.blocks) {
      for (let place = 0; place < block.count; place++)
        if (this.hasPlayback(block.key[place])) keys.add(block.key[place]);
    }
    return [...keys];
  }

  /** Drops the oldest chunk with all its records. What they took is given back bit by bit, as more is observed, or by `sweep`. */
  dropOldest(): void {
    this.chunks.dropOldest();
  }

  /** Gives back what dropped records took: their places in the index, their keys and strings. */
  sweep(atMost = Infinity): void {
    this.chunks.sweep(atMost, this.#release);
  }

  /** What is held now, to be written down while more is added; nothing may be dropped before that is done. */
  cut(): FactsCut {
    const chunks = this.chunks.live.map((chunk) => ({ chunk, count: chunk.count, shadowed: [...chunk.shadowed] }));
    return { held: this, chunks };
  }

  readonly #release = (chunk: Chunk, place: number): void => {
    const { keys } = this;
    const key = chunk.keyOf(place);
    const profile = keys.profileOf(key);
    const number = chunk.serial * CHUNK_RECORDS + place;
    const reader = chunk.openText(this.#reader, place);
    const { bytes, at } = reader;
    reader.skipText();
    const flags = bytes[reader.at];
    const hash = identityHash(bytes, at, reader.at, profile, flags & PLAYBACK_FLAG);
    // A later one may have its place.
    if ((flags & LATE_FLAG) !== 0) this.#index.discard(hash, number);
    else this.#index.remove(hash, number);
    eachString(reader, skipToPayload(reader), this.#releaseString);
    // A head in a dropped chunk is the last of its chain; the key may live on for records that only tell copies.
    if (Math.floor(keys.headOf(key) / CHUNK_RECORDS) === chunk.serial) keys.setHead(key, -1);
    this.profiles.release(profile);
    if (keys.release(key) > 0) return;
    this.works.release(keys.workOf(key));
    keys.remove(key);
  };

  readonly #releaseString = (dictionary: keyof Dictionaries, number: number): void => {
    this.dictionaries[dictionary].release(number);
  };

  #classify(place: number, text: string): void {
    if (place >= this.placeClass.length) {
      const grown = new Uint8Array(Math.max(this.placeClass.length * 2, place + 1));
      grown.set(this.placeClass);
      this.placeClass = grown;
    }
    const { surface, rowType } = splitPlace(text);
    this.placeClass[place] = CLASS_CODES[this.#classOf(rowType, surface).class];
  }
}

/** Of the written event id, the profile and the type. */
export function identityHash(
  bytes: Uint8Array,
  at: number,
  end: number,
  profile: number,
  playbackFlag: number,
): number {
  return hashOf(bytes, at, end, Math.imul(profile * 2 + playbackFlag, 0x9e3779b1));
}
