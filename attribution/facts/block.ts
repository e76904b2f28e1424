import type { ByteReader } from './bytes.ts';

/** So many records stand in a block; a number of a record ends with its place there. */
export const BLOCK_BITS = 16;
export const BLOCK_RECORDS = 1 << BLOCK_BITS;
/** So many records share where their bytes begin; each has where it begins behind that. */
const GROUP_BITS = 4;
/** A block has room for so much at first. */
const FIRST_RECORDS = 1024;
const FIRST_BYTES = 64 * 1024;
/** Of a record whose time, or whose beginning, has no room in its column. */
const FAR_TIME = -(2 ** 31);
const FAR_TEXT = 0xffff;

/**
 * The columns of some ten thousand records, and their bytes. What was appended is never altered, but for its place in the chain
 * of its key.
 */
export class Block {
  count = 0;
  key = new Int32Array(FIRST_RECORDS);
  /** The record before it of the same key, by number, -1 for none. */
  previous = new Int32Array(FIRST_RECORDS);
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(FIRST_BYTES);
  /** Bytes of its records. */
  used = 0;
  /** Milliseconds since `#begunAt`. */
  #time = new Int32Array(FIRST_RECORDS);
  #groupAt = new Uint32Array(FIRST_RECORDS >> GROUP_BITS);
  #textAt = new Uint16Array(FIRST_RECORDS);
  readonly #farTimes = new Map<number, number>();
  readonly #farTexts = new Map<number, number>();
  readonly #begunAt: number;

  /** @param begunAt an event time that those of its records are near */
  constructor(begunAt: number) {
    this.#begunAt = begunAt;
  }

  get full(): boolean {
    return this.count === BLOCK_RECORDS;
  }

  /** Bytes of memory that its arrays take. */
  get footprint(): number {
    const arrays = [this.key, this.previous, this.#time, this.#groupAt, this.#textAt, this.bytes];
    return arrays.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /**
   * Appends a record whose bytes were written behind those of the others.
   *
   * @param bytes those of the block, or larger ones with the same in them, which are the block's from now on
   * @param end of the record in them
   */
  append(bytes: Uint8Array<ArrayBuffer>, end: number, time: number, key: number, previous: number): void {
    const place = this.count++;
    if (place >= this.key.length) this.#resize(this.key.length * 2);
    this.bytes = bytes;
    this.key[place] = key;
    this.previous[place] = previous;
    this.#putTime(place, time);
    this.#putText(place, this.used);
    this.used = end;
  }

  /** Event time of a record, epoch milliseconds. */
  timeOf(place: number): number {
    const since = this.#time[place];
    return since === FAR_TIME ? (this.#farTimes.get(place) ?? NaN) : this.#begunAt + since;
  }

  /** Where a record begins in `bytes`. */
  textAt(place: number): number {
    const behind = this.#textAt[place];
    return behind === FAR_TEXT ? (this.#farTexts.get(place) ?? NaN) : this.#groupAt[place >> GROUP_BITS] + behind;
  }

  /** Where a record ends in `bytes`. */
  endOf(place: number): number {
    return place + 1 < this.count ? this.textAt(place + 1) : this.used;
  }

  /** Points a reader at a record. */
  open(reader: ByteReader, place: number): ByteReader {
    return reader.open(this.bytes, this.textAt(place));
  }

  /** Gives back what growing by doubling has left over, once nothing is added any more. */
  close(): void {
    this.#resize(this.count);
    this.bytes = this.bytes.slice(0, this.used);
  }

  #putTime(place: number, time: number): void {
    const since = time - this.#begunAt;
    const near = since > FAR_TIME && since < -FAR_TIME;
    this.#time[place] = near ? since : FAR_TIME;
    if (!near) this.#farTimes.set(place, time);
  }

  #putText(place: number, at: number): void {
    const group = place >> GROUP_BITS;
    if (group << GROUP_BITS === place) this.#groupAt[group] = at;
    const behind = at - this.#groupAt[group];
    this.#textAt[place] = Math.min(behind, FAR_TEXT);
    if (behind >= FAR_TEXT) this.#farTexts.set(place, at);
  }

  #resize(records: number): void {
    this.key = resized(this.key, records);
    this.previous = resized(this.previous, records);
    this.#time = resized(this.#time, records);
    this.#groupAt = resized(this.#groupAt, Math.ceil(records / (1 << GROUP_BITS)));
    this.#textAt = resized(this.#textAt, records);
  }
}

type Column = Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;

/** A copy with room for more, or without the room that is left over. */
function resized<T extends Column>(array: T, size: number): T {
  if (size <= array.length) return array.slice(0, size) as T;
  const bigger = new (array.constructor as new (size: number) => T)(size);
  bigger.set(array);
  return bigger;
}
