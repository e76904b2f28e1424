import { ByteReader, ByteWriter, emptyBytes, hashOfText, hashOfView, type TextBytes } from './bytes.ts';
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
  /** Writes what is new. */
  readonly #writer = new ByteWriter();
  #size = 0;
  #firstFree = NONE;
  /** One past the greatest number ever given. */
  #end = 0;
  #encoded = emptyBytes(1024);
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
  findBytes({ view }: TextBytes, begin: number, end: number): number {
    return this.#find(view, begin, end, hashOfView(view, begin, end));
  }

  /** The integer of a string, with one more use. */
  acquire(text: string): number {
    const length = this.#encode(text);
    return this.acquireBytes(this.#encoded, 0, length);
  }

  /** The same of a string in UTF-8. */
  acquireBytes({ bytes, view }: TextBytes, begin: number, end: number): number {
    const hash = hashOfView(view, begin, end);
    const known = this.#find(view, begin, end, hash);
    const number = known >= 0 ? known : this.#add(bytes, begin, end, hash);
    this.use(number);
    return number;
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
    this.#index.remove(hashOfText(bytes, at), number);
    this.#texts.remove(this.#entries.get(number, PLACE), this.#reader.at - at);
    this.#size--;
    this.#setFree(number);
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
    this.#name(number, reader.bytes, begin, reader.at, hashOfText(reader.bytes, begin));
  }

  /** All that was in use has been restored: the other numbers are free. */
  restored(): void {
    this.#firstFree = NONE;
    for (let number = this.#end - 1; number >= 0; number--) {
      if (this.#entries.get(number, PLACE) < 0) this.#setFree(number);
    }
  }

  #add(bytes: Uint8Array, begin: number, end: number, hash: number): number {
    const number = this.#freeNumber();
    this.#writer.length = 0;
    this.#writer.span(bytes, begin, end);
    this.#name(number, this.#writer.bytes, 0, this.#writer.length, hash);
    return number;
  }

  /** Gives a number to a written text that has none. */
  #name(number: number, bytes: Uint8Array, begin: number, end: number, hash: number): void {
    this.#entries.set(number, PLACE, this.#texts.add(bytes, begin, end));
    this.#entries.set(number, USES, 0);
    this.#size++;
    this.#index.add(hash, number);
    // No string is made where nobody asks for it.
    if (this.#onNew !== null) this.#onNew(number, this.text(number));
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

  #find(text: DataView, begin: number, end: number, hash: number): number {
    const count = this.#index.find(hash, this.#candidates);
    for (let i = 0; i < count; i++) {
      const number = this.#candidates[i];
      if (this.#texts.is(this.#entries.get(number, PLACE), text, begin, end)) return number;
    }
    return -1;
  }

  #open(number: number): ByteReader {
    const place = number < this.#end ? this.#entries.get(number, PLACE) : NONE;
    if (place < 0) throw new RangeError(`No string has the number ${number}`);
    return this.#texts.open(this.#reader, place);
  }

  /** Encodes a string into `#encoded`. @returns how many bytes it has */
  #encode(text: string): number {
    if (text.length * 3 > this.#encoded.bytes.length) this.#encoded = emptyBytes(text.length * 3);
    return encoder.encodeInto(text, this.#encoded.bytes).written;
  }
}
