import { type ByteReader, emptyBytes, sameSpan } from './bytes.ts';

/** Places are counted in units of so many bytes, and a page has so many units. */
const UNIT_BITS = 2;
const PAGE_BITS = 14;
const PAGE_UNITS = 1 << PAGE_BITS;

/**
 * Written texts at places of their own, in pages that are only ever added: nothing is moved as they grow. The room of one that
 * is removed is for the next about as long, so that there is never more room than there was text of each class of lengths at once.
 */
export class Texts {
  readonly #pages: Uint8Array[] = [];
  readonly #views: DataView[] = [];
  /** By length in units: free places. */
  readonly #free: number[][] = [];
  /** Where the room that was never used begins, and where it ends. */
  #next = 0;
  #end = 0;

  /** Bytes of memory. */
  get footprint(): number {
    return this.#pages.reduce((sum, page) => sum + page.length, 0);
  }

  /** Keeps a written text. @returns its place */
  add(bytes: Uint8Array, begin: number, end: number): number {
    const units = unitsOf(end - begin);
    const place = this.#free[units]?.pop() ?? this.#take(units);
    this.#pages[place >> PAGE_BITS].set(bytes.subarray(begin, end), atOf(place));
    return place;
  }

  /** Points a reader at a text. */
  open(reader: ByteReader, place: number): ByteReader {
    return reader.open(this.#pages[place >> PAGE_BITS], atOf(place));
  }

  /** Whether the text at a place is the one that stands in UTF-8 elsewhere. */
  is(place: number, text: DataView, begin: number, end: number): boolean {
    return sameSpan(this.#views[place >> PAGE_BITS], atOf(place), text, begin, end);
  }

  /** @param length of what was added there */
  remove(place: number, length: number): void {
    (this.#free[unitsOf(length)] ??= []).push(place);
  }

  /** No text goes over the end of a page: the rest of one, too short for it, stays for shorter ones. */
  #take(units: number): number {
    if (this.#next + units > this.#end) {
      while (this.#next < this.#end) {
        const rest = this.#end - this.#next;
        const units = rest - (rest % stepOf(rest));
        (this.#free[units] ??= []).push(this.#next);
        this.#next += units;
      }
      this.#next = this.#pages.length * PAGE_UNITS;
      this.#end = this.#next + PAGE_UNITS;
      const { bytes, view } = emptyBytes(PAGE_UNITS << UNIT_BITS);
      this.#pages.push(bytes);
      this.#views.push(view);
    }
    const place = this.#next;
    this.#next += units;
    return place;
  }
}

/** By how many units classes of lengths differ: one up to 16 units, then an eighth of the power of two below. */
function stepOf(units: number): number {
  return units <= 16 ? 1 : 1 << (28 - Math.clz32(units));
}

/** How much room a text has: that of its class. */
function unitsOf(length: number): number {
  const units = (length + (1 << UNIT_BITS) - 1) >> UNIT_BITS;
  const step = stepOf(units);
  return Math.ceil(units / step) * step;
}

function atOf(place: number): number {
  return (place & (PAGE_UNITS - 1)) << UNIT_BITS;
}
