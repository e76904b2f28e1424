/**
 * The keys (profile, work) that facts are held of: a hash table over flat integer arrays, entries counted by use.
 *
 * A key's number is stable while it is in use and is given to another key after.
 */
export class KeyTable {
  /** By key number. */
  profile = new Int32Array(64);
  work = new Int32Array(64);
  /** The newest fact of the key; what it means is the store's. */
  head = new Int32Array(64);
  /** Bits of the store's own. */
  flags = new Uint8Array(64);
  /** How many records name the key. */
  uses = new Int32Array(64);
  #slots = new Int32Array(128).fill(-1);
  #free: number[] = [];
  /** One past the greatest number ever given. */
  #end = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  find(profile: number, work: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = hash(profile, work) & mask; ; slot = (slot + 1) & mask) {
      const key = this.#slots[slot];
      if (key < 0 || (this.profile[key] === profile && this.work[key] === work)) return key;
    }
  }

  /** Adds a key that is not there; its head is -1. */
  add(profile: number, work: number): number {
    const key = this.#free.pop() ?? this.#end++;
    if (key >= this.head.length) this.#growEntries();
    this.#fill(key, profile, work);
    return key;
  }

  /** Removes a key and closes the gap that it leaves in its probe sequence. */
  remove(key: number): void {
    const mask = this.#slots.length - 1;
    let gap = hash(this.profile[key], this.work[key]) & mask;
    while (this.#slots[gap] !== key) gap = (gap + 1) & mask;
    for (let slot = (gap + 1) & mask; this.#slots[slot] >= 0; slot = (slot + 1) & mask) {
      const other = this.#slots[slot];
      const home = hash(this.profile[other], this.work[other]) & mask;
      // An entry may move into the gap only where its home does not lie between the gap and itself.
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue;
      this.#slots[gap] = other;
      gap = slot;
    }
    this.#slots[gap] = -1;
    this.#size--;
    this.uses[key] = -1;
    this.#free.push(key);
  }

  /** Gives a key the number that it had elsewhere, without uses. `restored` must follow. @returns false where it has it */
  restore(key: number, profile: number, work: number): boolean {
    if (key < this.#end && this.uses[key] >= 0) return false;
    while (key >= this.head.length) this.#growEntries();
    // The numbers passed over are free until they are restored.
    for (; this.#end <= key; this.#end++) this.uses[this.#end] = -1;
    this.#fill(key, profile, work);
    return true;
  }

  /** All that was in use has been restored: the other numbers are free. */
  restored(): void {
    for (let key = this.#end - 1; key >= 0; key--) if (this.uses[key] < 0) this.#free.push(key);
  }

  #fill(key: number, profile: number, work: number): void {
    this.profile[key] = profile;
    this.work[key] = work;
    this.head[key] = -1;
    this.flags[key] = 0;
    this.uses[key] = 0;
    if (++this.#size * 4 > this.#slots.length * 3) this.#growSlots();
    this.#place(key);
  }

  #place(key: number): void {
    const mask = this.#slots.length - 1;
    let slot = hash(this.profile[key], this.work[key]) & mask;
    while (this.#slots[slot] >= 0) slot = (slot + 1) & mask;
    this.#slots[slot] = key;
  }

  #growSlots(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(old.length * 2).fill(-1);
    for (const key of old) if (key >= 0) this.#place(key);
  }

  #growEntries(): void {
    const size = this.head.length * 2;
    this.profile = grown(this.profile, size);
    this.work = grown(this.work, size);
    this.head = grown(this.head, size);
    this.uses = grown(this.uses, size);
    const flags = new Uint8Array(size);
    flags.set(this.flags);
    this.flags = flags;
  }
}

function grown(array: Int32Array<ArrayBuffer>, size: number): Int32Array<ArrayBuffer> {
  const bigger = new Int32Array(size);
  bigger.set(array);
  return bigger;
}

function hash(profile: number, work: number): number {
  let mixed = Math.imul(profile, 0x9e3779b1) ^ Math.imul(work + 1, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}
