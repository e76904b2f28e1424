import { ByteReader, ByteWriter, hashOf, sameText } from './bytes.ts';
import { Entries } from './entries.ts';
import { NumberIndex } from './number-index.ts';
import { Texts } from './texts.ts';

const encoder = new TextEncoder();

/** Of an entry: where its text stands; of a number that is free, -2 minus the next that is, or -1. */
const PLACE = 0;
const USES = 1;
const NONE = -1;

/**
 * Strings as small integers, counted by use: when the last user of a string has released it, its integer is free for
 * another. What is interned per profile or per work would otherwise grow for as long as the process lives.
 *
 * A string is looked up by its UTF-8, wherever that stands, and held as `ByteWriter` writes it: none is made of it before it is
 * asked for.
 */
export class Interner {
  readonly #entries = new Entries(1, NONE);
  readonly #texts = new Texts();
  readonly #index = new NumberIndex();
  readonly #candidates: number[] = [];
  readonly #reader = new ByteReader();
  /** Writes what is looked up. */
  readonly #writer = new ByteWriter();
  #size = 0;
  #firstFree = NONE;
  /** One past the greatest number ever given. */
  #end = 0;
  /** The number that was acquired last, and its text in UTF-8; a length of -1 where there is none any more. */
  #last = 0;
  #lastLength = -1;
  #lastBytes = new Uint8Array(1024);
  #encoded = new Uint8Array(1024);
  readonly #onNew: ((number: number, text: string) => void) | null;

  /** @param onNew told of every number that comes to stand for a string */
  constructor(onNew: ((number: number, text: string) => void) | null = null) {
    this.#onNew = onNew;
  }

  get size(): number {
    return this.#size;
  }

  /** Bytes of memory. */
  get footprint(): number {
    return this.#entries.footprint + this.#texts.footprint + this.#index.footprint;
  }

  /** The integer of a string that is in use, or -1. */
  find(text: string): number {
    const length = this.#encode(text);
    return this.findBytes(this.#encoded, 0, length);
  }

  /** The same of a string in UTF-8. */
  findBytes(bytes: Uint8Array, begin: number, end: number): number {
    return this.#find(this.#write(bytes, begin, end));
  }

  /** The integer of a string, with one more use. */
  acquire(text: string): number {
    const length = this.#encode(text);
    return this.acquireBytes(this.#encoded, 0, length);
  }

  /** The same of a string in UTF-8. */
  acquireBytes(bytes: Uint8Array, begin: number, end: number): number {
    // What comes together often says the same: the impressions of a page are of one profile.
    if (!this.#isLast(bytes, begin, end)) {
      const hash = this.#write(bytes, begin, end);
      const known = this.#find(hash);
      this.#last =
        known >= 0 ? known : this.#name(this.#freeNumber(), this.#writer.bytes, 0, this.#writer.length, hash);
      this.#setLast(bytes, begin, end);
    }
    this.use(this.#last);
    return this.#last;
  }

  /** One more use of a number that stands for a string. */
  use(number: number): void {
    this.#entries.set(number, USES, this.#entries.get(number, USES) + 1);
  }

  release(number: number): void {
    const uses = this.#entries.get(number, USES) - 1;
    this.#entries.set(number, USES, uses);
    if (uses > 0) return;
    const { bytes, at } = this.#open(number);
    this.#reader.skipText();
    this.#index.remove(hashOf(bytes, at, this.#reader.at), number);
    this.#texts.remove(this.#entries.get(number, PLACE), this.#reader.at - at);
    this.#size--;
    this.#setFree(number);
    if (number === this.#last) this.#lastLength = -1;
  }

  /** @throws RangeError */
  text(number: number): string {
    return this.#open(number).text() ?? '';
  }

  /** Writes a number's text. @throws RangeError */
  write(number: number, writer: ByteWriter): void {
    const { bytes, at } = this.#open(number);
    this.#reader.skipText();
    writer.copy(bytes, at, this.#reader.at);
  }

  /** Gives the text that a reader stands at the number that it had elsewhere, without uses. `restored` must follow. */
  restore(number: number, reader: ByteReader): void {
    const begin = reader.at;
    reader.skipText();
    this.#entries.reach(number);
    this.#end = Math.max(this.#end, number + 1);
    if (this.#entries.get(number, PLACE) >= 0) return;
    this.#name(number, reader.bytes, begin, reader.at, hashOf(reader.bytes, begin, reader.at));
  }

  /** All that was in use has been restored: the other numbers are free. */
  restored(): void {
    this.#firstFree = NONE;
    for (let number = this.#end - 1; number >= 0; number--) {
      if (this.#entries.get(number, PLACE) < 0) this.#setFree(number);
    }
  }

  /** Gives a number to a written text that has none. @returns the number */
  #name(number: number, bytes: Uint8Array, begin: number, end: number, hash: number): number {
    this.#entries.set(number, PLACE, this.#texts.add(bytes, begin, end));
    this.#entries.set(number, USES, 0);
    this.#size++;
    this.#index.add(hash, number);
    // No string is made where nobody asks for it.
    if (this.#onNew !== null) this.#onNew(number, this.text(number));
    return number;
  }

  #freeNumber(): number {
    const number = this.#firstFree;
    if (number >= 0) {
      this.#firstFree = NONE - 1 - this.#entries.get(number, PLACE);
      return number;
    }
    this.#entries.reach(this.#end);
    return this.#end++;
  }

  #setFree(number: number): void {
    this.#entries.set(number, PLACE, NONE - 1 - this.#firstFree);
    this.#firstFree = number;
  }

  /** Writes what is looked up, for `#find`. @returns its hash */
  #write(bytes: Uint8Array, begin: number, end: number): number {
    this.#writer.length = 0;
    this.#writer.span(bytes, begin, end);
    return hashOf(this.#writer.bytes, 0, this.#writer.length);
  }

  #find(hash: number): number {
    const count = this.#index.find(hash, this.#candidates);
    for (let i = 0; i < count; i++) {
      const { bytes, at } = this.#open(this.#candidates[i]);
      if (sameText(bytes, at, this.#writer.bytes, 0)) return this.#candidates[i];
    }
    return -1;
  }

  #open(number: number): ByteReader {
    const place = number < this.#end ? this.#entries.get(number, PLACE) : NONE;
    if (place < 0) throw new RangeError(`No string has the number ${number}`);
    return this.#texts.open(this.#reader, place);
  }

  #isLast(bytes: Uint8Array, begin: number, end: number): boolean {
    if (end - begin !== this.#lastLength) return false;
    const last = this.#lastBytes;
    // From the end: rows of one type differ there.
    for (let i = end - begin - 1; i >= 0; i--) if (last[i] !== bytes[begin + i]) return false;
    return true;
  }

  #setLast(bytes: Uint8Array, begin: number, end: number): void {
    const length = end - begin;
    if (length > this.#lastBytes.length) this.#lastBytes = new Uint8Array(length * 2);
    for (let i = 0; i < length; i++) this.#lastBytes[i] = bytes[begin + i];
    this.#lastLength = length;
  }

  #encode(text: string): number {
    if (text.length * 3 > this.#encoded.length) this.#encoded = new Uint8Array(text.length * 3);
    return encoder.encodeInto(text, this.#encoded).written;
  }
}
