/** So many tables, each grown by itself: growing moves a part of the entries, not all at once. */
const TABLES = 64;
const TABLE_BITS = 6;
/** Of a hash, within its table. */
const HASH_BITS = 32 - TABLE_BITS;
/** A table has so many places at first, grows by so much, and is grown when it is so full. */
const FIRST_PLACES = 16;
const GROWTH = 1.25;
const FULL = 0.9;
/** Of a slot, in the array: the hash, and the number plus 1, 0 where the slot is free. */
const SLOT = 2;

/**
 * Finds what is numbered, records or keys or strings, by its hash: hash tables in flat arrays, about ten bytes an entry, the
 * hash included. Hashes may be shared; whoever looks up compares.
 */
export class NumberIndex {
  /** They grow by the same factor, each at another size: of many entries only a few tables grow at the same time. */
  readonly #tables = Array.from({ length: TABLES }, (_, table) => new Table(table / TABLES));

  /** Bytes of memory. */
  get footprint(): number {
    return this.#tables.reduce((sum, table) => sum + table.footprint, 0);
  }

  /** @param number from 0 to 2^31 - 1 */
  add(hash: number, number: number): void {
    this.#tables[hash >>> HASH_BITS].add(hash | 0, number);
  }

  /** Takes out what was added. @throws RangeError where it is not there */
  remove(hash: number, number: number): void {
    if (!this.discard(hash, number)) {
      throw new RangeError(`The index has no number ${number} under the hash ${hash}`);
    }
  }

  /** Takes a number out where it is there. @returns whether it was */
  discard(hash: number, number: number): boolean {
    return this.#tables[hash >>> HASH_BITS].discard(hash | 0, number);
  }

  /** Has a number stand for another that was added under the same hash. @throws RangeError where that is not there */
  replace(hash: number, former: number, number: number): void {
    if (!this.#tables[hash >>> HASH_BITS].replace(hash | 0, former, number)) {
      throw new RangeError(`The index has no number ${former} under the hash ${hash}`);
    }
  }

  /** The numbers under this hash into `into`. @returns how many */
  find(hash: number, into: number[]): number {
    return this.#tables[hash >>> HASH_BITS].find(hash | 0, into);
  }
}

/**
 * A hash table with linear probing, in which the slots stand in the order of their hashes: a search ends where a greater hash
 * stands, and growing is one walk through both arrays, which looks at nothing else. Hashes of one table share their upper
 * bits, so signed integers compare as they do.
 */
class Table {
  #slots: Int32Array;
  /** Home places of hashes; what is displaced may stand in as many slots behind them as there are. */
  #places: number;
  /** Places by hash. */
  #scale: number;
  #size = 0;
  #level: number;
  #behind = 8;

  constructor(level: number) {
    this.#level = level;
    this.#places = placesOf(level);
    this.#scale = this.#places / HASHES;
    this.#slots = this.#allocate();
  }

  get footprint(): number {
    return this.#slots.byteLength;
  }

  add(hash: number, number: number): void {
    if (++this.#size > this.#places * FULL) this.#rebuild(this.#level + 1);
    for (;;) {
      const slots = this.#slots;
      let at = this.#homeOf(hash);
      while (slots[at + 1] !== 0 && slots[at] <= hash) at += SLOT;
      let end = at;
      while (slots[end + 1] !== 0) end += SLOT;
      // The last slot stays free: it ends every search.
      if (end === slots.length - SLOT) {
        this.#behind *= 2;
        this.#rebuild(this.#level);
        continue;
      }
      for (; end > at; end -= SLOT) {
        slots[end] = slots[end - SLOT];
        slots[end + 1] = slots[end - SLOT + 1];
      }
      slots[at] = hash;
      slots[at + 1] = number + 1;
      return;
    }
  }

  find(hash: number, into: number[]): number {
    const slots = this.#slots;
    let count = 0;
    for (let at = this.#homeOf(hash); ; at += SLOT) {
      const held = slots[at + 1];
      if (held === 0 || slots[at] > hash) return count;
      if (slots[at] === hash) into[count++] = numberOf(held);
    }
  }

  replace(hash: number, former: number, number: number): boolean {
    const at = this.#find(hash, former);
    if (at >= 0) this.#slots[at + 1] = number + 1;
    return at >= 0;
  }

  /** What was displaced by what is taken out moves back. @returns whether it was there */
  discard(hash: number, number: number): boolean {
    const slots = this.#slots;
    let at = this.#find(hash, number);
    if (at < 0) return false;
    for (let next = at + SLOT; slots[next + 1] !== 0 && this.#homeOf(slots[next]) < next; next += SLOT) {
      slots[at] = slots[next];
      slots[at + 1] = slots[next + 1];
      at = next;
    }
    slots[at + 1] = 0;
    this.#size--;
    return true;
  }

  /** Where a number stands, -1 where it does not: from the home of its hash to where it stands, no slot is free. */
  #find(hash: number, number: number): number {
    const slots = this.#slots;
    const held = (number + 1) | 0;
    for (let at = this.#homeOf(hash); slots[at + 1] !== 0; at += SLOT) {
      if (slots[at] === hash && slots[at + 1] === held) return at;
    }
    return -1;
  }

  /** Where in the array the slot of a hash would be if no other were in its way. */
  #homeOf(hash: number): number {
    return (((hash & HASH_MASK) * this.#scale) | 0) * SLOT;
  }

  #rebuild(level: number): void {
    const before = this.#slots;
    this.#level = level;
    this.#places = placesOf(level);
    this.#scale = this.#places / HASHES;
    for (;;) {
      const slots = (this.#slots = this.#allocate());
      let free = 0;
      for (let at = 0; at < before.length; at += SLOT) {
        if (before[at + 1] === 0) continue;
        const home = this.#homeOf(before[at]);
        const to = home > free ? home : free;
        free = to + SLOT;
        if (free >= slots.length) break;
        slots[to] = before[at];
        slots[to + 1] = before[at + 1];
      }
      if (free < slots.length) return;
      this.#behind *= 2;
    }
  }

  #allocate(): Int32Array {
    return new Int32Array((this.#places + this.#behind + 1) * SLOT);
  }
}

const HASHES = 2 ** HASH_BITS;
const HASH_MASK = HASHES - 1;

function placesOf(level: number): number {
  return Math.floor(FIRST_PLACES * GROWTH ** level);
}

/** The greatest number plus 1 is the smallest integer of 32 bits. */
function numberOf(held: number): number {
  return (held - 1) & 0x7fffffff;
}
