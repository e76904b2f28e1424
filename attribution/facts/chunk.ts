import { ByteReader, sameText } from './bytes.ts';

/** A chunk is closed when it holds this many records; the number of a record is chunk × this + place. */
export const CHUNK_RECORDS = 1 << 19;

/** Of the payload's checksum in a record. */
export const CHECKSUM_BYTES = 4;

export const PLAYBACK_FLAG = 1;
/** Known, so that copies of it are recognised, but never applied. */
export const LATE_FLAG = 2;
/** Another record of the same event, read before it, counts in its stead. */
export const SHADOWED_FLAG = 4;

/**
 * Some hundred thousand records in the order in which they were read: columns, their bytes, and an index by event.
 * Chunks are what is dropped: the oldest whole, so that forgetting costs nothing per record that is kept.
 *
 * What was appended is never altered, so that it can be copied out while more is appended.
 *
 * Bytes of a record: event id, flags, source, clock minus time, checksum, offset (of a playback event), payload.
 */
export class Chunk {
  count = 0;
  /** Event time, epoch milliseconds. */
  time = new Float64Array(1024);
  key = new Int32Array(1024);
  /** The record before it of the same key, by number, -1 for none. */
  previous = new Int32Array(1024);
  textAt = new Uint32Array(1024);
  hash = new Int32Array(1024);
  bytes = new Uint8Array(64 * 1024);
  /** Places of records in whose stead one that was read later counts. */
  readonly shadowed = new Set<number>();
  #used = 0;
  #slots = new Int32Array(2048).fill(-1);
  /** The greatest event time in here, and the greatest clock when one was read. */
  greatestTime = -Infinity;
  greatestClock = -Infinity;

  constructor(
    /** Serial number: the chunk's part of its records' numbers. */
    readonly serial: number,
    /** The clock when it was begun. */
    readonly begunAt: number,
  ) {}

  /** Bytes of its records. */
  get used(): number {
    return this.#used;
  }

  get full(): boolean {
    return this.count === CHUNK_RECORDS;
  }

  /** Bytes of memory that its arrays take. */
  get footprint(): number {
    const columns = this.time.length * (8 + 4 + 4 + 4 + 4);
    return columns + this.bytes.length + this.#slots.length * 4;
  }

  /** Makes room, so that growing by doubling is not needed for so much. */
  reserve(records: number, bytes: number): void {
    while (this.time.length < Math.min(records, CHUNK_RECORDS)) this.#growColumns();
    if (bytes > this.bytes.length) this.bytes = grow(this.bytes, Uint8Array, bytes);
    let slots = this.#slots.length;
    while (records * 4 > slots * 3) slots *= 2;
    if (slots > this.#slots.length) this.#resizeSlots(slots);
  }

  /** Appends a record with its bytes; returns its place. */
  append(bytes: Uint8Array, time: number, clock: number, key: number, previous: number, hash: number): number {
    const place = this.count++;
    if (place >= this.time.length) this.#growColumns();
    const end = this.#used + bytes.length;
    if (end > this.bytes.length) this.bytes = grow(this.bytes, Uint8Array, Math.max(this.bytes.length * 2, end));
    this.bytes.set(bytes, this.#used);
    this.time[place] = time;
    this.key[place] = key;
    this.previous[place] = previous;
    this.textAt[place] = this.#used;
    this.hash[place] = hash;
    this.#used = end;
    if (time > this.greatestTime) this.greatestTime = time;
    if (clock > this.greatestClock) this.greatestClock = clock;
    if (this.count * 4 > this.#slots.length * 3) this.#resizeSlots(this.#slots.length * 2);
    else this.#index(place);
    return place;
  }

  /**
   * The slot of a record with this hash and event id (written text), -1 where there is none (more).
   *
   * @param after the slot before which all were seen; -1 to begin
   */
  findSlot(hash: number, text: Uint8Array, after: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = after < 0 ? hash & mask : (after + 1) & mask; ; slot = (slot + 1) & mask) {
      const place = this.#slots[slot];
      if (place < 0) return -1;
      if (this.hash[place] === hash && sameText(this.bytes, this.textAt[place], text, 0)) return slot;
    }
  }

  placeAt(slot: number): number {
    return this.#slots[slot];
  }

  /** Where a record's flags stand in `bytes`. */
  flagsAt(place: number): number {
    const reader = shared.open(this.bytes, this.textAt[place]);
    reader.skipText();
    return reader.at;
  }

  flags(place: number): number {
    return this.bytes[this.flagsAt(place)];
  }

  /** Gives back what growing by doubling has left over, once nothing is added any more. */
  close(): void {
    this.time = this.time.slice(0, this.count);
    this.key = this.key.slice(0, this.count);
    this.previous = this.previous.slice(0, this.count);
    this.textAt = this.textAt.slice(0, this.count);
    this.hash = this.hash.slice(0, this.count);
    this.bytes = this.bytes.slice(0, this.#used);
  }

  #index(place: number): void {
    const mask = this.#slots.length - 1;
    let slot = this.hash[place] & mask;
    while (this.#slots[slot] >= 0) slot = (slot + 1) & mask;
    this.#slots[slot] = place;
  }

  #resizeSlots(size: number): void {
    this.#slots = new Int32Array(size).fill(-1);
    for (let place = 0; place < this.count; place++) this.#index(place);
  }

  #growColumns(): void {
    const size = Math.min(this.time.length * 2, CHUNK_RECORDS);
    this.time = grow(this.time, Float64Array, size);
    this.key = grow(this.key, Int32Array, size);
    this.previous = grow(this.previous, Int32Array, size);
    this.textAt = grow(this.textAt, Uint32Array, size);
    this.hash = grow(this.hash, Int32Array, size);
  }
}

const shared = new ByteReader();

function grow<T extends { set(from: T): void }>(array: T, type: new (size: number) => T, size: number): T {
  const bigger = new type(size);
  bigger.set(array);
  return bigger;
}
