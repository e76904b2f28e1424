import { NumberIndex } from './number-index.ts';

/**
 * The keys (profile, work) that facts are held of, in flat integer arrays, counted by use.
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
  readonly #index = new NumberIndex((key) => hash(this.profile[key], this.work[key]));
  readonly #candidates: number[] = [];
  #free: number[] = [];
  /** One past the greatest number ever given. */
  #end = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  find(profile: number, work: number): number {
    const count = this.#index.find(hash(profile, work), this.#candidates);
    for (let i = 0; i < count; i++) {
      const key = this.#candidates[i];
      if (this.profile[key] === profile && this.work[key] === work) return key;
    }
    return -1;
  }

  /** Adds a key that is not there; its head is -1. */
  add(profile: number, work: number): number {
    const key = this.#free.pop() ?? this.#end++;
    if (key >= this.head.length) this.#growEntries();
    this.#fill(key, profile, work);
    return key;
  }

  remove(key: number): void {
    this.#index.remove(hash(this.profile[key], this.work[key]), key);
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
    this.#size++;
    this.#index.add(hash(profile, work), key);
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
