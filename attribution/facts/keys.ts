import { Entries } from './entries.ts';
import { NumberIndex } from './number-index.ts';

/** Integers of a key. */
const ENTRY_BITS = 2;
const PROFILE = 0;
const WORK = 1;
/** The newest fact; of a key that is free, the next that is, or -1. */
const HEAD = 2;
/** How many records name the key, times two, and 1 where it has playback; -1 where the key is free. */
const USES = 3;
const FREE = -1;

/**
 * The keys (profile, work) that facts are held of, in flat integer arrays, counted by use.
 *
 * A key's number is stable while it is in use and is given to another key after.
 */
export class KeyTable {
  readonly #entries = new Entries(ENTRY_BITS, FREE);
  readonly #index = new NumberIndex();
  readonly #candidates: number[] = [];
  #firstFree = -1;
  /** One past the greatest number ever given. */
  #end = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Bytes of memory. */
  get footprint(): number {
    return this.#entries.footprint + this.#index.footprint;
  }

  profileOf(key: number): number {
    return this.#entries.get(key, PROFILE);
  }

  workOf(key: number): number {
    return this.#entries.get(key, WORK);
  }

  /** The newest fact of the key, -1 before any; what it means is the store's. */
  headOf(key: number): number {
    return this.#entries.get(key, HEAD);
  }

  setHead(key: number, head: number): void {
    this.#entries.set(key, HEAD, head);
  }

  hasPlayback(key: number): boolean {
    return (this.#entries.get(key, USES) & 1) === 1;
  }

  markPlayback(key: number): void {
    this.#entries.set(key, USES, this.#entries.get(key, USES) | 1);
  }

  /** How many records name the key; below 0 where it is free. */
  usesOf(key: number): number {
    return this.#entries.get(key, USES) >> 1;
  }

  /** One more record names the key. */
  use(key: number): void {
    this.#entries.set(key, USES, this.#entries.get(key, USES) + 2);
  }

  /** One record less names the key. @returns how many do */
  release(key: number): number {
    const uses = this.#entries.get(key, USES) - 2;
    this.#entries.set(key, USES, uses);
    return uses >> 1;
  }

  find(profile: number, work: number): number {
    const count = this.#index.find(hash(profile, work), this.#candidates);
    for (let i = 0; i < count; i++) {
      const key = this.#candidates[i];
      if (this.#entries.get(key, PROFILE) === profile && this.#entries.get(key, WORK) === work) return key;
    }
    return -1;
  }

  /** Adds a key that is not there; its head is -1, and no record names it. */
  add(profile: number, work: number): number {
    let key = this.#firstFree;
    if (key >= 0) this.#firstFree = this.#entries.get(key, HEAD);
    else this.#reach((key = this.#end));
    this.#fill(key, profile, work);
    return key;
  }

  remove(key: number): void {
    this.#index.remove(hash(this.profileOf(key), this.workOf(key)), key);
    this.#size--;
    this.#free(key);
  }

  /** Gives a key the number that it had elsewhere, without uses. `restored` must follow. @returns false where it has it */
  restore(key: number, profile: number, work: number): boolean {
    this.#reach(key);
    if (this.#entries.get(key, USES) !== FREE) return false;
    this.#fill(key, profile, work);
    return true;
  }

  /** All that was in use has been restored: the other numbers are free. */
  restored(): void {
    this.#firstFree = -1;
    for (let key = this.#end - 1; key >= 0; key--) if (this.#entries.get(key, USES) === FREE) this.#free(key);
  }

  #free(key: number): void {
    this.#entries.set(key, USES, FREE);
    this.#entries.set(key, HEAD, this.#firstFree);
    this.#firstFree = key;
  }

  #fill(key: number, profile: number, work: number): void {
    this.#entries.set(key, PROFILE, profile);
    this.#entries.set(key, WORK, work);
    this.#entries.set(key, HEAD, -1);
    this.#entries.set(key, USES, 0);
    this.#size++;
    this.#index.add(hash(profile, work), key);
  }

  /** Makes room up to a key. Those passed over are in use by nobody until they are restored. */
  #reach(key: number): void {
    this.#entries.reach(key);
    this.#end = Math.max(this.#end, key + 1);
  }
}

function hash(profile: number, work: number): number {
  let mixed = Math.imul(profile, 0x9e3779b1) ^ Math.imul(work + 1, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}
