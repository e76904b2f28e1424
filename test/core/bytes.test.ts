import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ByteReader,
  ByteWriter,
  hashOf,
  hashOfText,
  hashOfView,
  sameSpan,
  sameText,
} from '../../attribution/facts/bytes.ts';
import { runs } from './runs.ts';

const uuid = fc.uuid();
/** One character of a UUID altered, in a way that makes it another kind of text, or another UUID. */
const almostUuid = fc
  .tuple(uuid, fc.nat({ max: 35 }), fc.constantFrom('-', 'g', 'A', '/', ':', '`', '0', 'é', '\u{1D49C}', ''))
  .map(([text, at, other]) => text.slice(0, at) + other + text.slice(at + 1));
const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 300 }),
  fc.string({ unit: 'binary-ascii', maxLength: 300 }),
  fc.string({ unit: 'binary', maxLength: 40 }).map((drawn) => drawn.toWellFormed()),
  uuid,
  uuid.map((drawn) => drawn.toUpperCase()),
  uuid.map((drawn) => drawn.replaceAll('-', '')),
  almostUuid,
  fc.constantFrom('', '-'.repeat(36), 'é'.repeat(36), 'x'.repeat(4096), 'é'.repeat(4096), '～'.repeat(4096)),
);
const maybeText = fc.option(text);

interface NumberValue {
  sort: 'byte' | 'varint' | 'signed' | 'uint32' | 'double';
  value: number;
}
interface TextValue {
  sort: 'text' | 'skipped';
  value: string | null;
}
type Value = NumberValue | TextValue;
const value: fc.Arbitrary<Value> = fc.oneof(
  fc.record({ sort: fc.constant('byte' as const), value: fc.nat({ max: 255 }) }),
  fc.record({ sort: fc.constant('varint' as const), value: fc.oneof(fc.nat(), fc.maxSafeNat()) }),
  fc.record({ sort: fc.constant('signed' as const), value: fc.oneof(fc.integer(), fc.maxSafeInteger()) }),
  fc.record({ sort: fc.constant('uint32' as const), value: fc.nat({ max: 2 ** 32 - 1 }) }),
  fc.record({ sort: fc.constant('double' as const), value: fc.double() }),
  fc.record({ sort: fc.constantFrom('text' as const, 'skipped' as const), value: maybeText }),
);

function isText(value: Value): value is TextValue {
  return value.sort === 'text' || value.sort === 'skipped';
}

function write(writer: ByteWriter, drawn: Value): void {
  if (isText(drawn)) writer.text(drawn.value);
  else writer[drawn.sort](drawn.value);
}

function read(reader: ByteReader, { sort, value }: Value): unknown {
  if (sort !== 'skipped') return reader[sort]();
  reader.skipText();
  return value;
}

function written(value: string | null): Uint8Array {
  const writer = new ByteWriter();
  writer.text(value);
  return writer.bytes.slice(0, writer.length);
}

test('what was written in a row is read in a row, wherever it stands', () => {
  fc.assert(
    fc.property(fc.array(value, { maxLength: 60 }), fc.nat({ max: 9 }), (values, offset) => {
      const writer = new ByteWriter();
      for (const each of values) write(writer, each);
      // In a window of a bigger buffer, behind other bytes.
      const buffer = new Uint8Array(writer.length + 20).fill(0xab);
      const window = buffer.subarray(3);
      window.set(writer.bytes.subarray(0, writer.length), offset);
      const reader = new ByteReader().open(window, offset);
      for (const each of values) expect(read(reader, each)).toEqual(each.value);
      expect(reader.at).toBe(offset + writer.length);
    }),
    { numRuns: runs(500) },
  );
});

test('a writer writes over what stands where it is opened', () => {
  const writer = new ByteWriter();
  writer.text('something long enough to be seen');
  writer.open(writer.bytes, 0);
  writer.byte(7);
  expect(writer.length).toBe(1);
  expect(writer.bytes[0]).toBe(7);
});

test('a writer grows with what is written, and keeps it', () => {
  for (const sort of ['byte', 'varint', 'uint32', 'double'] as const) {
    const writer = new ByteWriter();
    for (let i = 0; i < 3000; i++) writer[sort](i % 200);
    const reader = new ByteReader().open(writer.bytes, 0);
    for (let i = 0; i < 3000; i++) expect(reader[sort]()).toBe(i % 200);
  }
});

describe('integers', () => {
  test.each([
    [0, 1],
    [127, 1],
    [128, 2],
    [2 ** 14 - 1, 2],
    [2 ** 14, 3],
    [2 ** 31, 5],
    [2 ** 32 + 1, 5],
    [2 ** 49, 8],
    [Number.MAX_SAFE_INTEGER, 8],
  ])('%d takes %d bytes and comes back', (value, bytes) => {
    const writer = new ByteWriter();
    writer.varint(value);
    expect(writer.length).toBe(bytes);
    expect(new ByteReader().open(writer.bytes, 0).varint()).toBe(value);
  });

  test.each([
    [0, 1],
    [-1, 1],
    [63, 1],
    [-64, 1],
    [64, 2],
    [-65, 2],
    [2 ** 31 - 1, 5],
    [-(2 ** 31), 5],
    [2 ** 52 - 1, 8],
    [-(2 ** 52) + 1, 8],
  ])('%d, of either sign, takes %d bytes and comes back', (value, bytes) => {
    const writer = new ByteWriter();
    writer.signed(value);
    expect(writer.length).toBe(bytes);
    expect(new ByteReader().open(writer.bytes, 0).signed()).toBe(value);
  });
});

test('32 bits without a sign come back in four bytes', () => {
  for (const value of [0, 1, 0x1234_5678, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]) {
    const writer = new ByteWriter();
    writer.uint32(value);
    expect(writer.length).toBe(4);
    expect(new ByteReader().open(writer.bytes, 0).uint32()).toBe(value);
  }
});

test('a double comes back bit by bit', () => {
  for (const value of [0, -0, 0.1, -1e-300, Number.MAX_VALUE, Infinity, Number.NaN]) {
    const writer = new ByteWriter();
    writer.byte(1);
    writer.double(value);
    expect(writer.length).toBe(9);
    expect(new ByteReader().open(writer.bytes, 1).double()).toBe(value);
  }
});

describe('texts', () => {
  test('a UUID in its canonical form takes 17 bytes, and nothing else does as little of its length', () => {
    const canonical = '0123abcd-4567-89ef-8000-fedcba987654';
    expect(written(canonical)).toHaveLength(17);
    for (const other of [
      canonical.toUpperCase(),
      canonical.replace('a', 'A'),
      canonical.replace('f', 'g'),
      canonical.replace('0', '/'),
      canonical.replace('9', ':'),
      canonical.replace('a', '`'),
      canonical.replace('4', '-'),
      canonical.replace(/-/, '0'),
      canonical.replace(/4$/, 'x'),
      `${canonical.slice(0, 35)}é`,
    ]) {
      expect(written(other).length).toBeGreaterThan(36);
      expect(new ByteReader().open(written(other), 0).text()).toBe(other);
    }
  });

  test('other ASCII takes its length and the tag, none a byte, the rest what UTF-8 takes', () => {
    expect(written(null)).toEqual(Uint8Array.of(0));
    expect(written('')).toEqual(Uint8Array.of(2));
    expect(written('ab')).toEqual(Uint8Array.of(6, 0x61, 0x62));
    expect(written('\x7f')).toEqual(Uint8Array.of(4, 0x7f));
    expect(written('\x80')).toEqual(Uint8Array.of(7, 0xc2, 0x80));
    expect(written('aé')).toEqual(Uint8Array.of(9, 0x61, 0xc3, 0xa9));
    expect(written('x'.repeat(4096))).toHaveLength(4096 + 2);
    expect(written('～'.repeat(4096))).toHaveLength(3 * 4096 + 3);
  });

  test('are the same where they are equal, and only there', () => {
    let same = 0;
    const pair = fc.oneof(
      fc.tuple(maybeText, maybeText),
      maybeText.map((drawn) => [drawn, drawn] as const),
      fc.tuple(fc.string({ maxLength: 2 }), fc.string({ maxLength: 2 })),
      text.map((drawn) => [drawn, `${drawn.slice(0, -1)}x`] as const),
      text.map((drawn) => [drawn, `${drawn}x`] as const),
    );
    fc.assert(
      fc.property(pair, fc.nat({ max: 5 }), ([one, other], offset) => {
        const a = written(one);
        const b = new Uint8Array(4096 * 4);
        b.set(written(other), offset);
        if (one === other) same++;
        expect(sameText(a, 0, b, offset)).toBe(one === other);
        expect(sameText(b, offset, a, 0)).toBe(one === other);
        if (one === null) return;
        // The same of UTF-8 that was not written.
        const utf8 = Buffer.from(one);
        const span = new DataView(new Uint8Array([...Array<number>(offset).fill(1), ...utf8, 1]).buffer);
        const end = offset + utf8.length;
        expect(sameSpan(new DataView(a.buffer), 0, span, offset, end)).toBe(true);
        expect(sameSpan(new DataView(b.buffer), offset, span, offset, end)).toBe(one === other);
        expect(hashOfText(a, 0)).toBe(hashOfView(span, offset, end));
      }),
      { numRuns: runs(1_000) },
    );
    expect(same).toBeGreaterThan(runs(1_000) / 10);
  });
});

test('a hash of some bytes is the same by a view of them, wherever they stand', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat({ max: 9 }), (bytes, offset) => {
      const around = new Uint8Array(bytes.length + 20).fill(7);
      around.set(bytes, offset);
      const view = new DataView(around.buffer);
      expect(hashOfView(view, offset, offset + bytes.length)).toBe(hashOf(bytes, 0, bytes.length) >>> 0);
    }),
  );
});
