/** So many entries stand in a page. */
const PAGE_BITS = 12;
const IN_PAGE = (1 << PAGE_BITS) - 1;

/**
 * Entries of a few integers each, by number. An entry's integers stand beside one another, since whoever looks at one mostly
 * looks at the others; entries stand in pages, which are only ever added, so that none is moved as they grow.
 */
export class Entries {
  readonly #pages: Int32Array[] = [];
  readonly #bits: number;
  readonly #empty: number;

  /**
   * @param bits an entry has 2^bits integers
   * @param empty what they are at first
   */
  constructor(bits: number, empty: number) {
    this.#bits = bits;
    this.#empty = empty;
  }

  /** Bytes of memory. */
  get footprint(): number {
    return this.#pages.reduce((sum, page) => sum + page.byteLength, 0);
  }

  /** Makes room for an entry, and for all before it. */
  reach(number: number): void {
    while (number >> PAGE_BITS >= this.#pages.length) {
      this.#pages.push(new Int32Array(1 << (PAGE_BITS + this.#bits)).fill(this.#empty));
    }
  }

  get(number: number, which: number): number {
    return this.#pages[number >> PAGE_BITS][((number & IN_PAGE) << this.#bits) + which];
  }

  set(number: number, which: number, value: number): void {
    this.#pages[number >> PAGE_BITS][((number & IN_PAGE) << this.#bits) + which] = value;
  }
}
