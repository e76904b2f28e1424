/**
 * A small binary writer and reader for fact records. Integers are varints; a text is a tag and its bytes, and a UUID in
 * its canonical form, which most ids are, takes 16 bytes instead of 36.
 *
 * Tag of a text: 0 none, 1 a UUID, else 2 + 2 × (bytes) + (1 where they are not all ASCII).
 */

const encoder = new TextEncoder();
/** Where strings are encoded before they are written. */
let encoded = new Uint8Array(1024);
/** Where bytes stand before a string is made of them. */
let decoded = Buffer.alloc(1024);
const NONE = 0;
const UUID = 1;
const FIRST_LENGTH = 2;
/** Integers of either sign from here on are written in another way. */
const FAR = 2 ** 52;

/** Value of a lower-case hexadecimal digit by its byte, 255 of anything else. */
const HEX = new Uint8Array(256).fill(255);
/** The other way round. */
const DIGITS = encoder.encode('0123456789abcdef');
DIGITS.forEach((byte, digit) => (HEX[byte] = digit));
/** A number and its bytes, in this machine's order: records never leave it. */
const FLOAT = new Float64Array(1);
const FLOAT_BYTES = new Uint8Array(FLOAT.buffer);
const DASH = 0x2d;

export class ByteWriter {
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(1024);
  length = 0;

  /** Writes into these bytes from a place on, and into larger ones with the same before it where there is no room. */
  open(bytes: Uint8Array<ArrayBuffer>, at: number): void {
    this.bytes = bytes;
    this.length = at;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.bytes[this.length++] = value;
  }

  /** An integer from 0 to 2^53 - 1. */
  varint(value: number): void {
    this.#reserve(8);
    let rest = value;
    while (rest > 0x7f) {
      this.bytes[this.length++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.bytes[this.length++] = rest;
  }

  /** An integer of either sign, to ±(2^53 - 1). */
  signed(value: number): void {
    if (Math.abs(value) < FAR) {
      this.varint(value < 0 ? -value * 2 - 1 : value * 2);
      return;
    }
    // Doubled, it would not be exact.
    this.varint(Number.MAX_SAFE_INTEGER);
    this.byte(value < 0 ? 1 : 0);
    this.varint(Math.abs(value));
  }

  uint32(value: number): void {
    this.#reserve(4);
    for (let shift = 0; shift < 32; shift += 8) this.bytes[this.length++] = value >>> shift;
  }

  /** Writes over what was written at a place. */
  patchUint32(at: number, value: number): void {
    for (let i = 0; i < 4; i++) this.bytes[at + i] = value >>> (8 * i);
  }

  double(value: number): void {
    this.#reserve(8);
    FLOAT[0] = value;
    this.bytes.set(FLOAT_BYTES, this.length);
    this.length += 8;
  }

  text(value: string | null): void {
    if (value === null) {
      this.byte(NONE);
      return;
    }
    if (value.length * 3 > encoded.length) encoded = new Uint8Array(value.length * 3);
    this.span(encoded, 0, encoder.encodeInto(value, encoded).written);
  }

  /** A text that stands in UTF-8 elsewhere; none where `begin` is negative. */
  span(bytes: Uint8Array, begin: number, end: number): void {
    if (begin < 0) {
      this.byte(NONE);
      return;
    }
    const length = end - begin;
    this.#reserve(length + 8);
    if (length === 36 && this.#uuid(bytes, begin)) return;
    const tagAt = this.length;
    this.varint(FIRST_LENGTH + length * 2);
    const into = this.bytes;
    let at = this.length;
    let all = 0;
    for (let i = begin; i < end; i++) {
      all |= bytes[i];
      into[at++] = bytes[i];
    }
    this.length = at;
    if (all > 0x7f) into[tagAt] |= 1;
  }

  /** What was written before, as it is. */
  copy(bytes: Uint8Array, begin: number, end: number): void {
    this.#reserve(end - begin);
    this.bytes.set(bytes.subarray(begin, end), this.length);
    this.length += end - begin;
  }

  /** Writes a canonical UUID; false, and nothing written, where the text is none. */
  #uuid(bytes: Uint8Array, begin: number): boolean {
    const into = this.bytes;
    let at = this.length + 1;
    for (let i = 0; i < 36; i += 2) {
      if (i === 8 || i === 13 || i === 18 || i === 23) {
        if (bytes[begin + i] !== DASH) return false;
        i++;
      }
      const high = HEX[bytes[begin + i]];
      const low = HEX[bytes[begin + i + 1]];
      if ((high | low) > 15) return false;
      into[at++] = (high << 4) | low;
    }
    into[this.length] = UUID;
    this.length = at;
    return true;
  }

  #reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.length + more));
    grown.set(this.bytes);
    this.bytes = grown;
  }
}

/** Reads what a `ByteWriter` wrote, from wherever `at` is set. */
export class ByteReader {
  bytes: Uint8Array = new Uint8Array(0);
  at = 0;

  /** Points the reader at a place. */
  open(bytes: Uint8Array, at: number): this {
    this.bytes = bytes;
    this.at = at;
    return this;
  }

  byte(): number {
    return this.bytes[this.at++];
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.bytes[this.at++];
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
  }

  signed(): number {
    const value = this.varint();
    if (value === Number.MAX_SAFE_INTEGER) return this.byte() === 1 ? -this.varint() : this.varint();
    return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
  }

  uint32(): number {
    const { bytes, at } = this;
    this.at += 4;
    return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
  }

  double(): number {
    for (let i = 0; i < 8; i++) FLOAT_BYTES[i] = this.bytes[this.at++];
    return FLOAT[0];
  }

  text(): string | null {
    const tag = this.varint();
    if (tag === NONE) return null;
    const begin = this.at;
    if (tag === UUID) {
      this.at += 16;
      return uuidText(this.bytes, begin);
    }
    const length = (tag - FIRST_LENGTH) >>> 1;
    this.at += length;
    // Most are short: copying these costs less than an object for their place.
    if (length > decoded.length) decoded = Buffer.alloc(length * 2);
    for (let i = 0; i < length; i++) decoded[i] = this.bytes[begin + i];
    return decoded.toString((tag & 1) === 1 ? 'utf8' : 'latin1', 0, length);
  }

  skipText(): void {
    const tag = this.varint();
    if (tag === UUID) this.at += 16;
    else if (tag !== NONE) this.at += (tag - FIRST_LENGTH) >>> 1;
  }
}

function uuidText(bytes: Uint8Array, at: number): string {
  return decoded.toString('latin1', 0, spellUuid(bytes, at));
}

/** Spells a UUID out at the beginning of `decoded`. @returns how long it is */
function spellUuid(bytes: Uint8Array, at: number): number {
  let to = 0;
  for (let i = 0; i < 16; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) decoded[to++] = DASH;
    const byte = bytes[at + i];
    decoded[to++] = DIGITS[byte >> 4];
    decoded[to++] = DIGITS[byte & 15];
  }
  return to;
}

/** Whether two written texts are the same: equal strings are written as equal bytes. */
export function sameText(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): boolean {
  // The first byte bounds the length from below; the walk stops at the end of the shorter, whose tag differs.
  if (a[aAt] !== b[bAt]) return false;
  const reader = lengthReader.open(a, aAt);
  reader.skipText();
  const length = reader.at - aAt;
  for (let i = 1; i < length; i++) if (a[aAt + i] !== b[bAt + i]) return false;
  return true;
}

const lengthReader = new ByteReader();

/** Some bytes, to be looked at one by one and four at a time. */
export interface TextBytes {
  readonly bytes: Uint8Array;
  /** Of the same bytes. */
  readonly view: DataView;
}

/** So many bytes, all 0. */
export function emptyBytes(length: number): TextBytes {
  const bytes = new Uint8Array(length);
  return { bytes, view: new DataView(bytes.buffer) };
}

/** Whether a written text is the one that stands in UTF-8 elsewhere. */
export function sameSpan(written: DataView, at: number, text: DataView, begin: number, end: number): boolean {
  const length = end - begin;
  const tag = written.getUint8(at);
  if (tag === UUID) return length === 36 && sameUuid(written, at + 1, text, begin);
  let from = at + 1;
  if (tag < 0x80) {
    if ((tag - FIRST_LENGTH) >> 1 !== length) return false;
  } else {
    let rest = FIRST_LENGTH + length * 2;
    // Whether all of it is ASCII is said by the lowest bit, and by the bytes themselves.
    if (((tag ^ rest) & 0x7e) !== 0) return false;
    for (rest >>>= 7; rest > 0x7f; rest >>>= 7) if (written.getUint8(from++) !== ((rest & 0x7f) | 0x80)) return false;
    if (written.getUint8(from++) !== rest) return false;
  }
  let i = 0;
  for (; i + 4 <= length; i += 4) if (written.getInt32(from + i) !== text.getInt32(begin + i)) return false;
  for (; i < length; i++) if (written.getUint8(from + i) !== text.getUint8(begin + i)) return false;
  return true;
}

function sameUuid(written: DataView, at: number, text: DataView, begin: number): boolean {
  let from = begin;
  for (let i = 0; i < 16; i++) {
    if ((i === 4 || i === 6 || i === 8 || i === 10) && text.getUint8(from++) !== DASH) return false;
    const byte = written.getUint8(at + i);
    if (text.getUint8(from++) !== DIGITS[byte >> 4] || text.getUint8(from++) !== DIGITS[byte & 15]) return false;
  }
  return true;
}

/** The hash of a written text's UTF-8, as `hashOfView` has it. */
export function hashOfText(bytes: Uint8Array, at: number): number {
  const reader = lengthReader.open(bytes, at);
  const tag = reader.varint();
  if (tag !== UUID) return hashOf(bytes, reader.at, reader.at + ((tag - FIRST_LENGTH) >>> 1)) >>> 0;
  spellUuid(bytes, reader.at);
  return hashOf(decoded, 0, 36) >>> 0;
}

/** A hash of some bytes, four at a time (the mixing steps are those of MurmurHash3). */
export function hashOf(bytes: Uint8Array, begin: number, end: number, seed = 0): number {
  let hash = seed ^ (end - begin);
  let at = begin;
  for (; at + 4 <= end; at += 4) {
    hash = mix(hash, bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24));
  }
  let rest = 0;
  for (; at < end; at++) rest = (rest << 8) | bytes[at];
  return finish(mix(hash, rest));
}

/** The same of what stands in a view, in less time, as an unsigned integer. */
export function hashOfView(view: DataView, begin: number, end: number): number {
  let hash = end - begin;
  let at = begin;
  for (; at + 4 <= end; at += 4) hash = mix(hash, view.getInt32(at, true));
  let rest = 0;
  for (; at < end; at++) rest = (rest << 8) | view.getUint8(at);
  return finish(mix(hash, rest)) >>> 0;
}

function finish(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

function mix(hash: number, word: number): number {
  let mixed = Math.imul(word, 0xcc9e2d51);
  mixed = Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593) ^ hash;
  mixed = (mixed << 13) | (mixed >>> 19);
  return (Math.imul(mixed, 5) + 0xe6546b64) | 0;
}
