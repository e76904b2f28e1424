import { isUtf8 } from 'node:buffer';

/** Deeper objects are left to `JSON.parse`. */
const MAX_DEPTH = 32;

export const QUOTE = 0x22;
export const COMMA = 0x2c;
const MINUS = 0x2d;
const BACKSLASH = 0x5c;
/** What may follow a backslash, `u` and four digits beside. */
const ESCAPED = new Uint8Array(256);
for (const mark of '"\\/bfnrt') ESCAPED[mark.charCodeAt(0)] = 1;
const UNICODE = 0x75;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
export const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
export const N = 0x6e;
export const OPEN = 0x7b;
export const CLOSE = 0x7d;

/** The sign bit of each of four bytes; and what finds, by it, those below a space, quotes and backslashes. */
const SIGNS = 0x80808080 | 0;
const SPACES = 0x20202020;
const ONES = 0x01010101;
const QUOTES = 0x22222222;
const BACKSLASHES = 0x5c5c5c5c;

/** Some bytes to be found at a place, four or more of them, as integers of four. */
export class Expected {
  readonly length: number;
  /** The last overlaps the one before where there is no multiple of four. */
  readonly last: number;
  readonly words: Int32Array;

  constructor(text: string) {
    const bytes = Buffer.from(text, 'latin1');
    this.length = bytes.length;
    this.words = Int32Array.from({ length: bytes.length >> 2 }, (_, i) => bytes.readInt32LE(i * 4));
    this.last = bytes.readInt32LE(bytes.length - 4);
  }
}

export const NULL = new Expected('null');
export const TRUE = new Expected('true');
export const FALSE = new Expected('false');
const WORDS = [NULL, TRUE, FALSE];

function isHex(byte: number): boolean {
  return isDigit(byte) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66);
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}

/** What may stand in a text beside plain ASCII: nothing, UTF-8, or that and escapes. */
export const ASCII = 0;
export const UTF8 = 1;
export const ESCAPES = 2;
type Allowed = typeof ASCII | typeof UTF8 | typeof ESCAPES;

/**
 * Goes through the bytes of a JSON text, as far as that is plain: without escapes where a text is read, not passed over. What
 * it passes over is JSON; where it says false it may be, or not.
 */
export class JsonCursor {
  bytes: Buffer = Buffer.alloc(0);
  #view: DataView = new DataView(new ArrayBuffer(0));
  /** Where the cursor stands. */
  at = 0;
  #limit = 0;

  /** Reads what stands between two places. @param view of the same bytes */
  open(bytes: Buffer, view: DataView, begin: number, end: number): void {
    this.bytes = bytes;
    this.#view = view;
    this.at = begin;
    this.#limit = end;
  }

  get atEnd(): boolean {
    return this.at === this.#limit;
  }

  /** The byte at the cursor, 0 behind the end: no index is ever out of bounds, for one such makes all look-ups slow. */
  peek(): number {
    return this.at < this.#limit ? this.bytes[this.at] : 0;
  }

  next(): number {
    const byte = this.peek();
    this.at++;
    return byte;
  }

  /** Reads a number at the cursor by JSON's grammar. @returns NaN where there is none */
  readNumber(): number {
    const begin = this.at;
    const negative = this.peek() === MINUS;
    if (negative) this.at++;
    const first = this.at;
    let value = 0;
    for (let byte = this.peek(); isDigit(byte); this.at++, byte = this.peek()) value = value * 10 + byte - ZERO;
    const digits = this.at - first;
    if (digits === 0 || (digits > 1 && this.bytes[first] === ZERO)) return NaN;
    const after = this.peek() | 0x20;
    if (this.peek() !== POINT && after !== 0x65 && digits <= 15) return negative && value !== 0 ? -value : value;
    if (this.peek() === POINT) {
      this.at++;
      if (!this.#skipDigits()) return NaN;
    }
    if ((this.peek() | 0x20) === 0x65) {
      this.at++;
      if (this.peek() === MINUS || this.peek() === 0x2b) this.at++;
      if (!this.#skipDigits()) return NaN;
    }
    const exact = Number(this.bytes.toString('latin1', begin, this.at));
    return exact === 0 ? 0 : exact;
  }

  #skipDigits(): boolean {
    const begin = this.at;
    while (isDigit(this.peek())) this.at++;
    return this.at > begin;
  }

  /** Passes over a string at the cursor; false where there is none, or what is not allowed stands in it. */
  skipText(allowed: Allowed): boolean {
    if (this.peek() !== QUOTE) return false;
    const view = this.#view;
    const lastWord = this.#limit - 4;
    let at = this.at + 1;
    for (; at <= lastWord; at += 4) {
      const word = view.getInt32(at, true);
      // A byte that borrows from the next is itself found, and so is one beyond ASCII: the first that is found is one.
      const found = (word | (word - SPACES) | ((word ^ QUOTES) - ONES) | ((word ^ BACKSLASHES) - ONES)) & SIGNS;
      if (found === 0) continue;
      at += (31 - Math.clz32(found & -found)) >> 3;
      if (this.bytes[at] !== QUOTE) return allowed !== ASCII && this.#skipUnusual(at, allowed);
      this.at = at + 1;
      return true;
    }
    for (; at < this.#limit; at++) {
      const byte = this.bytes[at];
      if (byte >= 0x20 && byte < 0x80 && byte !== QUOTE && byte !== BACKSLASH) continue;
      if (byte !== QUOTE) return allowed !== ASCII && this.#skipUnusual(at, allowed);
      this.at = at + 1;
      return true;
    }
    return false;
  }

  /** Passes over the rest of the string at the cursor, from where it is no longer plain. */
  #skipUnusual(from: number, allowed: Allowed): boolean {
    const { bytes } = this;
    const begin = this.at + 1;
    const limit = this.#limit;
    let all = 0;
    for (let at = from; at < limit; at++) {
      const byte = bytes[at];
      all |= byte;
      if (byte === QUOTE) {
        this.at = at + 1;
        return all < 0x80 || isUtf8(bytes.subarray(begin, at));
      }
      if (byte < 0x20) return false;
      if (byte !== BACKSLASH) continue;
      if (allowed !== ESCAPES || ++at === limit) return false;
      if (ESCAPED[bytes[at]] === 1) continue;
      if (bytes[at] !== UNICODE || at + 4 >= limit) return false;
      for (const last = at + 4; at < last;) if (!isHex(bytes[++at])) return false;
    }
    return false;
  }

  /** Passes over these bytes; false, and nothing passed over, where others stand there. */
  skipBytes({ length, words, last }: Expected): boolean {
    const { at } = this;
    const view = this.#view;
    if (at + length > this.#limit) return false;
    for (let i = 0; i < words.length; i++) if (view.getInt32(at + 4 * i, true) !== words[i]) return false;
    if (view.getInt32(at + length - 4, true) !== last) return false;
    this.at = at + length;
    return true;
  }

  /** Passes over any value at the cursor; false where it is not surely JSON. */
  skipValue(depth: number): boolean {
    if (depth > MAX_DEPTH) return false;
    switch (this.peek()) {
      case QUOTE:
        return this.skipText(ESCAPES);
      case OPEN:
        return this.#skipMembers(CLOSE, depth, true);
      case OPEN_LIST:
        return this.#skipMembers(CLOSE_LIST, depth, false);
      default:
        return WORDS.some((word) => this.skipBytes(word)) || !Number.isNaN(this.readNumber());
    }
  }

  #skipMembers(close: number, depth: number, named: boolean): boolean {
    this.at++;
    this.skipSpace();
    if (this.peek() === close) {
      this.at++;
      return true;
    }
    for (;;) {
      if (named) {
        if (!this.skipText(ESCAPES)) return false;
        this.skipSpace();
        if (this.next() !== COLON) return false;
        this.skipSpace();
      }
      if (!this.skipValue(depth + 1)) return false;
      this.skipSpace();
      const mark = this.next();
      if (mark === close) return true;
      if (mark !== COMMA) return false;
      this.skipSpace();
    }
  }

  /** JSON's own white space. */
  skipSpace(): void {
    for (;;) {
      const byte = this.peek();
      if (byte > 0x20) return;
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
      this.at++;
    }
  }
}
