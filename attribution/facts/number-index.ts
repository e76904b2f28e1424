/** So many tables, each grown by itself: growing moves a part of the entries, not all at once. */
const TABLES = 64;
const TABLE_BITS = 6;
/** Of a hash, within its table. */
const HASH_BITS = 32 - TABLE_BITS;
/** A table has so many places at first, grows by so much, and is grown when it is so full. */
const FIRST_PLACES = 16;
const GROWTH = 1.25;
const FULL = 0.9;
/** Slots behind its places, at first. */
const FIRST_BEHIND = 8;
/** Of a slot, in the array: the hash, and the number plus 1, 0 where the slot is free. */
const SLOT = 2;

/** Hashes of one table, which share their upper bits. */
const HASHES = 2 ** HASH_BITS;
const HASH_MASK = HASHES - 1;

/**
 * Finds what is numbered, records or keys or strings, by its hash: hash tables in flat arrays, about ten bytes an entry, the
 * hash included. Hashes may be shared; whoever looks up compares.
 *
 * A table has linear probing, and its slots stand in the order of their hashes: a look-up ends where a greater hash stands,
 * and growing is one walk through both arrays, which looks at nothing else. Hashes of one table share their upper bits, so
 * signed integers compare as they do.
 */
export class NumberIndex {
  /** By table. No object of a table stands between a look-up and its slots: that would be one more cache miss. */
  readonly #slots: Int32Array[] = [];
  /** Places by hash. */
  readonly #scale = new Float64Array(TABLES);
  /** Home places of hashes; what is displaced may stand in as many slots behind them as there are. */
  readonly #places = new Float64Array(TABLES);
  readonly #behind = new Int32Array(TABLES).fill(FIRST_BEHIND);
  readonly #sizes = new Int32Array(TABLES);
  /** They grow by the same factor, each at another size: of many entries only a few tables grow at the same time. */
  readonly #levels = Float64Array.from({ length: TABLES }, (_, table) => table / TABLES);

  constructor() {
    for (let table = 0; table < TABLES; table++) {
      this.#setLevel(table, this.#levels[table]);
      this.#slots.push(this.#allocate(table));
    }
  }

  /** Bytes of memory. */
  get footprint(): number {
    return this.#slots.reduce((sum, slots) => sum + slots.byteLength, 0);
  }

  /** @param number from 0 to 2^31 - 1 */
  add(hash: number, number: number): void {
    const table = hash >>> HASH_BITS;
    const wanted = hash | 0;
    if (++this.#sizes[table] > this.#places[table] * FULL) this.#rebuild(table, this.#levels[table] + 1);
    for (;;) {
      const slots = this.#slots[table];
      let at = homeOf(wanted, this.#scale[table]);
      while (slots[at + 1] !== 0 && slots[at] <= wanted) at += SLOT;
      let end = at;
      while (slots[end + 1] !== 0) end += SLOT;
      // The last slot stays free: it ends every search.
      if (end === slots.length - SLOT) {
        this.#behind[table] *= 2;
        this.#rebuild(table, this.#levels[table]);
        continue;
      }
      for (; end > at; end -= SLOT) {
        slots[end] = slots[end - SLOT];
        slots[end + 1] = slots[end - SLOT + 1];
      }
      slots[at] = wanted;
      slots[at + 1] = number + 1;
      return;
    }
  }

  /** The numbers under this hash into `into`. @returns how many */
  find(hash: number, into: number[]): number {
    const table = hash >>> HASH_BITS;
    const slots = this.#slots[table];
    const wanted = hash | 0;
    let count = 0;
    for (let at = homeOf(wanted, this.#scale[table]); ; at += SLOT) {
      const held = slots[at + 1];
      if (held === 0 || slots[at] > wanted) return count;
      if (slots[at] === wanted) into[count++] = numberOf(held);
    }
  }

  /** Takes out what was added. @throws RangeError where it is not there */
  remove(hash: number, number: number): void {
    if (!this.discard(hash, number)) {
      throw new RangeError(`The index has no number ${number} under the hash ${hash}`);
    }
  }

  /** Takes a number out where it is there; what was displaced by it moves back. @returns whether it was */
  discard(hash: number, number: number): boolean {
    const table = hash >>> HASH_BITS;
    const slots = this.#slots[table];
    const scale = this.#scale[table];
    let at = this.#slotOf(hash, number);
    if (at < 0) return false;
    for (let next = at + SLOT; slots[next + 1] !== 0 && homeOf(slots[next], scale) < next; next += SLOT) {
      slots[at] = slots[next];
      slots[at + 1] = slots[next + 1];
      at = next;
    }
    slots[at + 1] = 0;
    this.#sizes[table]--;
    return true;
  }

  /** Has a number stand for another that was added under the same hash. @throws RangeError where that is not there */
  replace(hash: number, former: number, number: number): void {
    const at = this.#slotOf(hash, former);
    if (at < 0) throw new RangeError(`The index has no number ${former} under the hash ${hash}`);
    this.#slots[hash >>> HASH_BITS][at + 1] = number + 1;
  }

  /** Where a number stands, -1 where it does not: from the home of its hash to where it stands, no slot is free. */
  #slotOf(hash: number, number: number): number {
    const table = hash >>> HASH_BITS;
    const slots = this.#slots[table];
    const held = (number + 1) | 0;
    for (let at = homeOf(hash, this.#scale[table]); slots[at + 1] !== 0; at += SLOT) {
      if (slots[at] === (hash | 0) && slots[at + 1] === held) return at;
    }
    return -1;
  }

  #rebuild(table: number, level: number): void {
    const before = this.#slots[table];
    this.#setLevel(table, level);
    const scale = this.#scale[table];
    for (;;) {
      const slots = (this.#slots[table] = this.#allocate(table));
      let free = 0;
      for (let at = 0; at < before.length; at += SLOT) {
        if (before[at + 1] === 0) continue;
        const home = homeOf(before[at], scale);
        const to = home > free ? home : free;
        free = to + SLOT;
        if (free >= slots.length) break;
        slots[to] = before[at];
        slots[to + 1] = before[at + 1];
      }
      if (free < slots.length) return;
      this.#behind[table] *= 2;
    }
  }

  #setLevel(table: number, level: number): void {
    this.#levels[table] = level;
    this.#places[table] = Math.floor(FIRST_PLACES * GROWTH ** level);
    this.#scale[table] = this.#places[table] / HASHES;
  }

  #allocate(table: number): Int32Array {
    return new Int32Array((this.#places[table] + this.#behind[table] + 1) * SLOT);
  }
}

/** Where in its table the slot of a hash would be if no other were in its way. */
function homeOf(hash: number, scale: number): number {
  return (((hash & HASH_MASK) * scale) | 0) * SLOT;
}

/** The greatest number plus 1 is the smallest integer of 32 bits. */
function numberOf(held: number): number {
  return (held - 1) & 0x7fffffff;
}
