/** So many tables, each grown by itself: growing moves a part of the entries, not all at once. */
const TABLES = 64;
const TABLE_SHIFT = 26;
const FIRST_SLOTS = 32;

/**
 * Finds what is numbered, records or keys or strings, by its hash: hash tables in flat arrays, about 7 bytes an entry. Hashes
 * may be shared; whoever looks up compares.
 */
export class NumberIndex {
  readonly #tables: Table[];

  /** @param hashOf the hash under which a number was added, as long as it is in here */
  constructor(hashOf: (number: number) => number) {
    this.#tables = Array.from({ length: TABLES }, () => new Table(hashOf));
  }

  /** Bytes of memory. */
  get footprint(): number {
    return this.#tables.reduce((sum, table) => sum + table.footprint, 0);
  }

  add(hash: number, number: number): void {
    this.#tables[hash >>> TABLE_SHIFT].add(hash, number);
  }

  /** Takes out what was added. */
  remove(hash: number, number: number): void {
    this.#tables[hash >>> TABLE_SHIFT].remove(hash, number);
  }

  /** The numbers under this hash, with a few that only look alike, into `into`. @returns how many */
  find(hash: number, into: number[]): number {
    return this.#tables[hash >>> TABLE_SHIFT].find(hash, into);
  }
}

/** A hash table with linear probing. */
class Table {
  #numbers = new Int32Array(FIRST_SLOTS);
  /** A byte of the hash, from 1: most that is not looked for is passed over without a look at the record. 0: free. */
  #tags = new Uint8Array(FIRST_SLOTS);
  #size = 0;
  readonly #hashOf: (number: number) => number;

  constructor(hashOf: (number: number) => number) {
    this.#hashOf = hashOf;
  }

  get footprint(): number {
    return this.#numbers.length * 5;
  }

  add(hash: number, number: number): void {
    if (++this.#size * 4 > this.#numbers.length * 3) this.#grow();
    this.#place(hash, number);
  }

  find(hash: number, into: number[]): number {
    const tags = this.#tags;
    const mask = tags.length - 1;
    const tag = tagOf(hash);
    let count = 0;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const found = tags[slot];
      if (found === 0) return count;
      if (found === tag) into[count++] = this.#numbers[slot];
    }
  }

  /** Closes the gap that the number leaves in its probe sequence. */
  remove(hash: number, number: number): void {
    const mask = this.#tags.length - 1;
    let gap = hash & mask;
    while (this.#numbers[gap] !== number || this.#tags[gap] === 0) gap = (gap + 1) & mask;
    for (let slot = (gap + 1) & mask; this.#tags[slot] !== 0; slot = (slot + 1) & mask) {
      const home = this.#hashOf(this.#numbers[slot]) & mask;
      // An entry may move into the gap only where its home does not lie between the gap and itself.
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue;
      this.#numbers[gap] = this.#numbers[slot];
      this.#tags[gap] = this.#tags[slot];
      gap = slot;
    }
    this.#tags[gap] = 0;
    this.#size--;
  }

  #place(hash: number, number: number): void {
    const mask = this.#tags.length - 1;
    let slot = hash & mask;
    while (this.#tags[slot] !== 0) slot = (slot + 1) & mask;
    this.#numbers[slot] = number;
    this.#tags[slot] = tagOf(hash);
  }

  #grow(): void {
    const numbers = this.#numbers;
    const tags = this.#tags;
    this.#numbers = new Int32Array(numbers.length * 2);
    this.#tags = new Uint8Array(tags.length * 2);
    for (let slot = 0; slot < tags.length; slot++) {
      if (tags[slot] !== 0) this.#place(this.#hashOf(numbers[slot]), numbers[slot]);
    }
  }
}

/** Bits that neither the table nor the place in it, of a table of any usual size, is chosen by. */
function tagOf(hash: number): number {
  return (hash >>> 18) & 0xff || 1;
}
