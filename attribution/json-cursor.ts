/** Deeper objects are left to `JSON.parse`. */
const MAX_DEPTH = 32;

export const QUOTE = 0x22;
export const COMMA = 0x2c;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
export const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
export const OPEN = 0x7b;
export const CLOSE = 0x7d;

export const NULL = Buffer.from('null');
export const TRUE = Buffer.from('true');
export const FALSE = Buffer.from('false');
const WORDS = [NULL, TRUE, FALSE];

/** 1 for bytes that stand for themselves in a JSON string: printable ASCII but the quote and the backslash. */
const PLAIN = new Uint8Array(256);
for (let byte = 0x20; byte < 0x7f; byte++) PLAIN[byte] = byte === QUOTE || byte === 0x5c ? 0 : 1;

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}

/**
 * Goes through the bytes of a JSON text, as far as that is plain: without escapes, and without anything beyond ASCII. What it
 * passes over is JSON; where it says false it may be, or not.
 */
export class JsonCursor {
  bytes: Buffer = Buffer.alloc(0);
  /** Where the cursor stands. */
  at = 0;
  #limit = 0;

  /** Reads what stands between two places. */
  open(bytes: Buffer, begin: number, end: number): void {
    this.bytes = bytes;
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

  /** Passes over a string of plain bytes at the cursor; false where there is none. */
  skipText(): boolean {
    const from = this.bytes;
    if (this.peek() !== QUOTE) return false;
    let end = this.at + 1;
    while (end < this.#limit && PLAIN[from[end]] === 1) end++;
    this.at = end;
    return this.next() === QUOTE;
  }

  /** Passes over these bytes; false, and nothing passed over, where others stand there. */
  skipBytes(expected: Uint8Array): boolean {
    const { bytes, at } = this;
    if (at + expected.length > this.#limit) return false;
    for (let i = 0; i < expected.length; i++) if (bytes[at + i] !== expected[i]) return false;
    this.at = at + expected.length;
    return true;
  }

  /** Passes over any value at the cursor; false where it is not surely JSON. */
  skipValue(depth: number): boolean {
    if (depth > MAX_DEPTH) return false;
    switch (this.peek()) {
      case QUOTE:
        return this.skipText();
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
        if (!this.skipText()) return false;
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
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
      this.at++;
    }
  }
}
