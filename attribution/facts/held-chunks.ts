import { CHUNK_RECORDS, Chunk } from './chunk.ts';

/** A chunk spans at most this much of its log's clock, so that whole chunks grow old. */
const CHUNK_SPAN_MS = 3 * 60 * 60 * 1000;
/** Chunk serials repeat after this many; by then nothing points to the first bearer of a number any more. */
const SERIALS = 2 ** 31 / CHUNK_RECORDS;

/** The chunks that are held, found by the numbers of their records, and those that were dropped and are still to be swept. */
export class HeldChunks {
  readonly #ring: (Chunk | null)[] = Array.from({ length: SERIALS }, () => null);
  /** Oldest first. */
  readonly #live: Chunk[] = [];
  /** With how many of their records have been swept. */
  readonly #dropped: { chunk: Chunk; swept: number }[] = [];
  #serial = 0;
  /** How many were ever begun. */
  begun = 0;

  /** Oldest first. */
  get live(): readonly Chunk[] {
    return this.#live;
  }

  /** The chunk of a record, null where it is no longer held. */
  find(number: number): Chunk | null {
    return this.#ring[Math.floor(number / CHUNK_RECORDS)];
  }

  /** The chunk that takes the next record, begun where the one before is full or spans enough. */
  open(clock: number): Chunk {
    const current = this.#live.at(-1);
    if (current && !current.full && clock - current.begunAt < CHUNK_SPAN_MS) return current;
    current?.close();
    return this.#begin(clock);
  }

  /** Begins the next chunk with the serial that it had. */
  restore(serial: number, begunAt: number): Chunk {
    this.#live.at(-1)?.close();
    this.#serial = serial;
    return this.#begin(begunAt);
  }

  /** The oldest that is complete, or null. */
  get oldestClosed(): Chunk | null {
    return this.#live.length > 1 ? this.#live[0] : null;
  }

  dropOldest(): void {
    const chunk = this.#live.shift();
    if (chunk === undefined) return;
    this.#ring[chunk.serial] = null;
    this.#dropped.push({ chunk, swept: 0 });
  }

  /** Whether records that were dropped are still to be swept. */
  get unswept(): boolean {
    return this.#dropped.length > 0;
  }

  /** Has so many records that were dropped released, in the order in which they came. */
  sweep(atMost: number, release: (chunk: Chunk, place: number) => void): void {
    let left = atMost;
    for (let oldest = this.#dropped[0]; oldest !== undefined && left > 0; oldest = this.#dropped[0]) {
      const { chunk } = oldest;
      for (; oldest.swept < chunk.count && left > 0; left--) release(chunk, oldest.swept++);
      if (oldest.swept === chunk.count) this.#dropped.shift();
    }
  }

  #begin(clock: number): Chunk {
    const chunk = new Chunk(this.#serial, clock);
    this.#serial = (this.#serial + 1) % SERIALS;
    this.#live.push(chunk);
    this.begun++;
    this.#ring[chunk.serial] = chunk;
    return chunk;
  }
}
