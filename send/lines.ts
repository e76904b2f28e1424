const LF = 0x0a;
const CR = 0x0d;
const BLANKS = new Set([0x09, 0x20, CR]);
const UTF8_BOM = Buffer.from([0xef, 0xbb, 0xbf]);

/** What is no UTF-8 text from its first bytes on, with what to do about it. */
const FOREIGN_BEGINNINGS = [
  { bytes: [0xff, 0xfe], what: 'is UTF-16', remedy: 'convert it to UTF-8 first (iconv -f UTF-16 -t UTF-8)' },
  { bytes: [0xfe, 0xff], what: 'is UTF-16', remedy: 'convert it to UTF-8 first (iconv -f UTF-16 -t UTF-8)' },
  { bytes: [0x1f, 0x8b], what: 'is compressed by gzip', remedy: 'send it with: gunzip -c FILE | npx whence send -' },
  {
    bytes: [0x28, 0xb5, 0x2f, 0xfd],
    what: 'is compressed by zstd',
    remedy: 'send it with: zstdcat FILE | npx whence send -',
  },
];

const LONGEST_MARK = Math.max(...FOREIGN_BEGINNINGS.map(({ bytes }) => bytes.length));

/** The input is no text of lines. */
export class NotLinesError extends Error {
  override readonly name = 'NotLinesError';
}

/** A line of a file. */
export interface Line {
  /** From 1. */
  number: number;
  /** Without its end; a view into what was read. */
  bytes: Buffer;
}

/** What a file is made of, in order. */
export interface SplitLines {
  lines: Line[];
  empty: number;
  /** Lines that are not held because no Kafka would take them. */
  tooLong: { number: number; bytes: number }[];
}

/**
 * Cuts the bytes of a file into lines: LF or CR LF, the last with or without one. A BOM at the beginning is none of a
 * line's. Holds at most one unfinished line, and none longer than the limit.
 */
export class LineSplitter {
  readonly #name: string;
  readonly #longest: number;
  #number = 1;
  #parts: Buffer[] = [];
  #partial = 0;
  /** The first bytes, until there are enough to tell what they are; then null. */
  #head: Buffer | null = Buffer.alloc(0);

  /**
   * @param name of the file, for errors
   * @param longest longer lines are counted, not held
   */
  constructor(name: string, longest: number) {
    this.#name = name;
    this.#longest = longest;
  }

  /** @throws NotLinesError where the file is UTF-16 or compressed */
  split(chunk: Buffer): SplitLines {
    if (this.#head === null) return this.#cut(chunk, 0);
    const head = Buffer.concat([this.#head, chunk]);
    this.#head = head.length < LONGEST_MARK ? head : null;
    return this.#head === null ? this.#cut(head, this.#beginning(head)) : nothing();
  }

  /** The file has ended. */
  end(): SplitLines {
    const result = this.#head === null ? nothing() : this.#cut(this.#head, this.#beginning(this.#head));
    if (this.#partial > 0) this.#finish(Buffer.alloc(0), result);
    return result;
  }

  #cut(chunk: Buffer, from: number): SplitLines {
    const result = nothing();
    let start = from;
    for (let end = chunk.indexOf(LF, start); end >= 0; end = chunk.indexOf(LF, start)) {
      this.#finish(chunk.subarray(start, end), result);
      start = end + 1;
    }
    this.#keep(chunk.subarray(start));
    return result;
  }

  #beginning(chunk: Buffer): number {
    for (const { bytes, what, remedy } of FOREIGN_BEGINNINGS) {
      if (chunk.subarray(0, bytes.length).equals(Buffer.from(bytes))) {
        throw new NotLinesError(`${this.#name} ${what}, expected NDJSON in UTF-8; ${remedy}`);
      }
    }
    return chunk.subarray(0, UTF8_BOM.length).equals(UTF8_BOM) ? UTF8_BOM.length : 0;
  }

  #keep(part: Buffer): void {
    if (part.length === 0) return;
    this.#partial += part.length;
    if (this.#partial <= this.#longest) this.#parts.push(part);
    else this.#parts = [];
  }

  #finish(last: Buffer, result: SplitLines): void {
    const number = this.#number++;
    const length = this.#partial + last.length;
    const whole = this.#partial === 0 ? last : Buffer.concat([...this.#parts, last]);
    this.#parts = [];
    this.#partial = 0;
    if (length > this.#longest) {
      result.tooLong.push({ number, bytes: length });
      return;
    }
    const bytes = whole.at(-1) === CR ? whole.subarray(0, -1) : whole;
    if (isBlank(bytes)) result.empty++;
    else result.lines.push({ number, bytes });
  }
}

function nothing(): SplitLines {
  return { lines: [], empty: 0, tooLong: [] };
}

function isBlank(bytes: Buffer): boolean {
  for (const byte of bytes) if (!BLANKS.has(byte)) return false;
  return true;
}
