import { hashOf } from './bytes.ts';

const encoder = new TextEncoder();

/**
 * Strings as small integers, counted by use: when the last user of a string has released it, its integer is free for
 * another. What is interned per profile or per work would otherwise grow for as long as the process lives.
 *
 * A string is looked up by its UTF-8, wherever that stands: none is made of one that is known.
 */
export class Interner {
  readonly #texts: (string | null)[] = [];
  #hashes = new Int32Array(64);
  #uses = new Int32Array(64);
  /** A hash table of numbers, -1 where a slot is free. */
  #slots = new Int32Array(128).fill(-1);
  #size = 0;
  readonly #free: number[] = [];
  #encoded = new Uint8Array(1024);
  readonly #onNew: (number: number, text: string) => void;

  /** @param onNew told of every number that comes to stand for a string */
  constructor(onNew: (number: number, text: string) => void = () => {}) {
    this.#onNew = onNew;
  }

  /** The integer of a string that is in use, or -1. */
  find(text: string): number {
    const length = this.#encode(text);
    return this.#find(hashOf(this.#encoded, 0, length), this.#encoded, 0, length);
  }

  /** The same of a string in UTF-8. */
  findBytes(bytes: Uint8Array, begin: number, end: number): number {
    return this.#find(hashOf(bytes, begin, end), bytes, begin, end);
  }

  /** The integer of a string, with one more use. */
  acquire(text: string): number {
    return this.acquireBytes(this.#encoded, 0, this.#encode(text));
  }

  /** The same of a string in UTF-8. */
  acquireBytes(bytes: Uint8Array, begin: number, end: number): number {
    const hash = hashOf(bytes, begin, end);
    let number = this.#find(hash, bytes, begin, end);
    if (number < 0) {
      number = this.#free.pop() ?? this.#texts.length;
      this.#uses[number] = 0;
      this.#name(number, Buffer.from(bytes.buffer, bytes.byteOffset + begin, end - begin).toString('utf8'), hash);
    }
    this.#uses[number]++;
    return number;
  }

  release(number: number): void {
    if (--this.#uses[number] > 0) return;
    this.#unplace(number);
    this.#size--;
    this.#texts[number] = null;
    this.#free.push(number);
  }

  text(number: number): string {
    const text = this.#texts[number];
    if (typeof text !== 'string') throw new RangeError(`No string has the number ${number}`);
    return text;
  }

  get size(): number {
    return this.#size;
  }

  /** The strings and uses of all numbers, as they are now; null where a number is free. */
  entries(): { texts: (string | null)[]; uses: Int32Array } {
    return { texts: this.#texts.slice(), uses: this.#uses.slice(0, this.#texts.length) };
  }

  /** Gives a string the number that it had elsewhere, with this many more uses. `restored` must follow. */
  restore(number: number, text: string, uses: number): void {
    while (this.#texts.length <= number) this.#texts.push(null);
    if ((this.#texts[number] ?? null) === null) this.#name(number, text, hashOf(this.#encoded, 0, this.#encode(text)));
    this.#uses[number] += uses;
  }

  /** All that was in use has been restored: the other numbers are free. */
  restored(): void {
    for (let number = this.#texts.length - 1; number >= 0; number--) {
      if (this.#texts[number] === null) this.#free.push(number);
    }
  }

  /** One more use of a number that stands for a string. */
  use(number: number): void {
    this.#uses[number]++;
  }

  #name(number: number, text: string, hash: number): void {
    this.#texts[number] = text;
    while (number >= this.#uses.length) {
      this.#uses = doubled(this.#uses);
      this.#hashes = doubled(this.#hashes);
    }
    this.#hashes[number] = hash;
    if (++this.#size * 2 > this.#slots.length) this.#growSlots();
    this.#place(number);
    this.#onNew(number, text);
  }

  #find(hash: number, bytes: Uint8Array, begin: number, end: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const number = slots[slot];
      if (number < 0) return -1;
      if (this.#hashes[number] === hash && isText(this.text(number), bytes, begin, end)) return number;
    }
  }

  #place(number: number): void {
    const mask = this.#slots.length - 1;
    let slot = this.#hashes[number] & mask;
    while (this.#slots[slot] >= 0) slot = (slot + 1) & mask;
    this.#slots[slot] = number;
  }

  /** Closes the gap that a number leaves in its probe sequence. */
  #unplace(number: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let gap = this.#hashes[number] & mask;
    while (slots[gap] !== number) gap = (gap + 1) & mask;
    for (let slot = (gap + 1) & mask; slots[slot] >= 0; slot = (slot + 1) & mask) {
      const home = this.#hashes[slots[slot]] & mask;
      // An entry may move into the gap only where its home does not lie between the gap and itself.
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue;
      slots[gap] = slots[slot];
      gap = slot;
    }
    slots[gap] = -1;
  }

  #growSlots(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(old.length * 2).fill(-1);
    for (const number of old) if (number >= 0) this.#place(number);
  }

  #encode(text: string): number {
    if (text.length * 3 > this.#encoded.length) this.#encoded = new Uint8Array(text.length * 3);
    return encoder.encodeInto(text, this.#encoded).written;
  }
}

function isText(text: string, bytes: Uint8Array, begin: number, end: number): boolean {
  const length = end - begin;
  // UTF-8 has as many bytes as the string has code units where all are ASCII, and only there.
  if (text.length !== length)
    return text === Buffer.from(bytes.buffer, bytes.byteOffset + begin, length).toString('utf8');
  for (let i = 0; i < length; i++) if (text.charCodeAt(i) !== bytes[begin + i]) return false;
  return true;
}

function doubled(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const bigger = new Int32Array(array.length * 2);
  bigger.set(array);
  return bigger;
}
