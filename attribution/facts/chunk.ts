import { ByteReader } from './bytes.ts';

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
 * Some hundred thousand records in the order in which they were read: columns, and their bytes. Chunks are what is dropped:
 * the oldest whole.
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
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(64 * 1024);
  /** Places of records in whose stead one that was read later counts. */
  readonly shadowed = new Set<number>();
  #used = 0;
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
    return this.time.length * (8 + 4 + 4 + 4 + 4) + this.bytes.length;
  }

  /** Makes room, so that growing by doubling is not needed for so much. */
  reserve(records: number, bytes: number): void {
    while (this.time.length < Math.min(records, CHUNK_RECORDS)) this.#growColumns();
    if (bytes > this.bytes.length) this.bytes = grow(this.bytes, Uint8Array, bytes);
  }

  /** Copies the bytes of the next record behind those of the others; to be appended. @returns where they end */
  copy(record: Uint8Array): number {
    const end = this.#used + record.length;
    if (end > this.bytes.length) this.bytes = grow(this.bytes, Uint8Array, Math.max(this.bytes.length * 2, end));
    this.bytes.set(record, this.#used);
    return end;
  }

  /**
   * Appends a record whose bytes were written behind those of the others. @returns its place
   *
   * @param bytes those of the chunk, or larger ones with the same in them, which are the chunk's from now on
   * @param end of the record in them
   */
  append(
    bytes: Uint8Array<ArrayBuffer>,
    end: number,
    time: number,
    clock: number,
    key: number,
    previous: number,
    hash: number,
  ): number {
    const place = this.count++;
    if (place >= this.time.length) this.#growColumns();
    this.bytes = bytes;
    this.time[place] = time;
    this.key[place] = key;
    this.previous[place] = previous;
    this.textAt[place] = this.#used;
    this.hash[place] = hash;
    this.#used = end;
    if (time > this.greatestTime) this.greatestTime = time;
    if (clock > this.greatestClock) this.greatestClock = clock;
    return place;
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
