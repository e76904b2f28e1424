import { hashOf } from './bytes.ts';
import { NumberIndex } from './number-index.ts';

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
  readonly #index = new NumberIndex((number) => this.#hashes[number]);
  readonly #candidates: number[] = [];
  #size = 0;
  /** The number that was asked for last. */
  #last = 0;
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
    // What comes together often says the same: the impressions of a page are of one profile.
    const last = this.#texts[this.#last];
    if (typeof last === 'string' && isText(last, bytes, begin, end)) {
      this.#uses[this.#last]++;
      return this.#last;
    }
    const hash = hashOf(bytes, begin, end);
    let number = this.#find(hash, bytes, begin, end);
    if (number < 0) {
      number = this.#free.pop() ?? this.#texts.length;
      this.#uses[number] = 0;
      this.#name(number, Buffer.from(bytes.buffer, bytes.byteOffset + begin, end - begin).toString('utf8'), hash);
    }
    this.#uses[number]++;
    this.#last = number;
    return number;
  }

  release(number: number): void {
    if (--this.#uses[number] > 0) return;
    this.#index.remove(this.#hashes[number], number);
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
    this.#size++;
    this.#index.add(hash, number);
    this.#onNew(number, text);
  }

  #find(hash: number, bytes: Uint8Array, begin: number, end: number): number {
    const count = this.#index.find(hash, this.#candidates);
    for (let i = 0; i < count; i++) {
      const number = this.#candidates[i];
      if (this.#hashes[number] === hash && isText(this.text(number), bytes, begin, end)) return number;
    }
    return -1;
  }

  #encode(text: string): number {
    if (text.length * 3 > this.#encoded.length) this.#encoded = new Uint8Array(text.length * 3);
    return encoder.encodeInto(text, this.#encoded).written;
  }
}

function isText(text: string, bytes: Uint8Array, begin: number, end: number): boolean {
  const length = end - begin;
  // UTF-8 has as many bytes as the string has code units, or more.
  if (text.length > length) return false;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    // From the first that is not ASCII on, bytes and code units no longer stand side by side.
    if (unit > 0x7f) return text === Buffer.from(bytes.buffer, bytes.byteOffset + begin, length).toString('utf8');
    if (unit !== bytes[begin + i]) return false;
  }
  return text.length === length;
}

function doubled(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const bigger = new Int32Array(array.length * 2);
  bigger.set(array);
  return bigger;
}
