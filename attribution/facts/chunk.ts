import { Block, BLOCK_BITS, BLOCK_RECORDS } from './block.ts';
import { ByteReader } from './bytes.ts';

/** A chunk is closed when it holds this many records; the number of a record is chunk × this + place. */
export const CHUNK_RECORDS = 1 << 19;
const IN_BLOCK = BLOCK_RECORDS - 1;

/** Of the payload's checksum in a record. */
export const CHECKSUM_BYTES = 4;
/** Nothing is known of the payload: neither it nor a copy of it is a conflict. */
export const NO_CHECKSUM = 0;

export const PLAYBACK_FLAG = 1;
/** Known, so that copies of it are recognised, but never applied. */
export const LATE_FLAG = 2;
/** Another record of the same event, read before it, counts in its stead. */
export const SHADOWED_FLAG = 4;

/**
 * Some hundred thousand records in the order in which they were read, in blocks. Chunks are what is dropped: the oldest whole.
 *
 * What was appended is never altered, so that it can be copied out while more is appended.
 *
 * Bytes of a record: event id, flags, source, clock minus time, checksum, offset (of a playback event), payload.
 */
export class Chunk {
  count = 0;
  /** All but the last are full. */
  readonly blocks: Block[] = [];
  /** Places of records in whose stead one that was read later counts. */
  readonly shadowed = new Set<number>();
  /** The greatest event time in here, and the greatest clock when one was read. */
  greatestTime = -Infinity;
  greatestClock = -Infinity;

  constructor(
    /** Serial number: the chunk's part of its records' numbers. */
    readonly serial: number,
    /** The clock when it was begun. */
    readonly begunAt: number,
  ) {}

  get full(): boolean {
    return this.count === CHUNK_RECORDS;
  }

  /** Bytes of memory that its arrays take. */
  get footprint(): number {
    return this.blocks.reduce((sum, block) => sum + block.footprint, 0);
  }

  /** The block that takes the next record. */
  get open(): Block {
    const last = this.blocks.at(-1);
    if (last !== undefined && !last.full) return last;
    last?.close();
    const block = new Block(this.begunAt);
    this.blocks.push(block);
    return block;
  }

  /**
   * Appends a record whose bytes were written behind those of the open block. @returns its place
   *
   * @param bytes those of the block, or larger ones with the same in them, which are the block's from now on
   * @param end of the record in them
   */
  append(
    bytes: Uint8Array<ArrayBuffer>,
    end: number,
    time: number,
    clock: number,
    key: number,
    previous: number,
  ): number {
    this.blocks[this.blocks.length - 1].append(bytes, end, time, key, previous);
    if (time > this.greatestTime) this.greatestTime = time;
    if (clock > this.greatestClock) this.greatestClock = clock;
    return this.count++;
  }

  /** Event time of a record, epoch milliseconds. */
  timeOf(place: number): number {
    return this.#blockOf(place).timeOf(place & IN_BLOCK);
  }

  keyOf(place: number): number {
    return this.#blockOf(place).key[place & IN_BLOCK];
  }

  /** The record before it of the same key, by number, -1 for none. */
  previousOf(place: number): number {
    return this.#blockOf(place).previous[place & IN_BLOCK];
  }

  setPrevious(place: number, previous: number): void {
    this.#blockOf(place).previous[place & IN_BLOCK] = previous;
  }

  flags(place: number): number {
    const reader = this.openText(shared, place);
    reader.skipText();
    return reader.byte();
  }

  /** Points a reader at a record. */
  openText(reader: ByteReader, place: number): ByteReader {
    return this.#blockOf(place).open(reader, place & IN_BLOCK);
  }

  /** Points a reader at a record's payload. @returns whether that is a playback event's */
  openPayload(reader: ByteReader, place: number): boolean {
    this.openText(reader, place).skipText();
    return skipToPayload(reader);
  }

  /** Gives back what growing has left over, once nothing is added any more. */
  close(): void {
    this.blocks.at(-1)?.close();
  }

  #blockOf(place: number): Block {
    return this.blocks[place >> BLOCK_BITS];
  }
}

/** Takes a reader that stands behind a record's event id to its payload. @returns whether that is a playback event's */
export function skipToPayload(reader: ByteReader): boolean {
  const isPlayback = (reader.byte() & PLAYBACK_FLAG) !== 0;
  reader.varint();
  reader.varint();
  reader.at += CHECKSUM_BYTES;
  if (isPlayback) reader.varint();
  return isPlayback;
}

const shared = new ByteReader();
