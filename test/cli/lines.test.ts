import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LineSplitter, NotLinesError, type SplitLines } from '../../send/lines.ts';

const LONGEST = 100;

/** What a splitter makes of bytes that come in chunks. */
function splitAll(chunks: readonly Buffer[]) {
  const splitter = new LineSplitter('day.ndjson', LONGEST);
  const results: SplitLines[] = [...chunks.map((chunk) => splitter.split(chunk)), splitter.end()];
  return {
    lines: results.flatMap(({ lines }) => lines.map(({ number, bytes }) => [number, bytes.toString()])),
    empty: results.reduce((sum, { empty }) => sum + empty, 0),
    tooLong: results.flatMap(({ tooLong }) => tooLong),
  };
}

const split = (text: string | Buffer) => splitAll([Buffer.from(text)]);

describe('cutting bytes into lines', () => {
  test('LF and CR LF end a line, the last needs no end', () => {
    const expected = {
      lines: [
        [1, 'a'],
        [2, 'b'],
        [3, 'c'],
      ],
      empty: 0,
      tooLong: [],
    };
    expect(split('a\nb\nc')).toEqual(expected);
    expect(split('a\r\nb\nc\r\n')).toEqual(expected);
  });

  test('empty and blank lines are counted, and keep the numbers of the others right', () => {
    expect(split('\na\n\r\n \t \nb\n')).toEqual({
      lines: [
        [2, 'a'],
        [5, 'b'],
      ],
      empty: 3,
      tooLong: [],
    });
  });

  test('a BOM at the beginning is left out, also when it comes in pieces; another stays', () => {
    const text = Buffer.from('\ufeffa\n\ufeffb\n');
    const expected = {
      lines: [
        [1, 'a'],
        [2, '\ufeffb'],
      ],
      empty: 0,
      tooLong: [],
    };
    expect(splitAll([text])).toEqual(expected);
    expect(splitAll([...text].map((byte) => Buffer.from([byte])))).toEqual(expected);
  });

  test('a CR inside a line, and bytes that are no UTF-8, stay as they are', () => {
    const splitter = new LineSplitter('x', LONGEST);
    const { lines } = splitter.split(Buffer.from([0x61, 0x0d, 0xff, 0x0d, 0x0a]));
    expect(lines[0].bytes).toEqual(Buffer.from([0x61, 0x0d, 0xff]));
  });

  test('a line beyond the limit is counted with its length, not held', () => {
    const long = 'x'.repeat(LONGEST + 1);
    expect(split(`a\n${long}\nb\n${long}`)).toEqual({
      lines: [
        [1, 'a'],
        [3, 'b'],
      ],
      empty: 0,
      tooLong: [
        { number: 2, bytes: LONGEST + 1 },
        { number: 4, bytes: LONGEST + 1 },
      ],
    });
    expect(split('x'.repeat(LONGEST)).lines).toEqual([[1, 'x'.repeat(LONGEST)]]);
  });

  test('nothing has no lines', () => {
    expect(splitAll([])).toEqual({ lines: [], empty: 0, tooLong: [] });
    expect(split('')).toEqual({ lines: [], empty: 0, tooLong: [] });
  });

  test('however the bytes are cut, the lines are the same', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'é', '\n', '\r\n', ' ', '\ufeff'), maxLength: 250 });
    fc.assert(
      fc.property(text, fc.array(fc.nat(300), { maxLength: 6 }), (content, cuts) => {
        const bytes = Buffer.from(content);
        const places = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
        const chunks = places.slice(1).map((end, i) => bytes.subarray(places[i], end));
        expect(splitAll(chunks)).toEqual(splitAll([bytes]));
      }),
    );
  });

  test.each([
    ['UTF-16 of Windows', Buffer.from('\ufeff{"type":"x"}\n', 'utf16le'), 'day.ndjson is UTF-16'],
    ['UTF-16, big end first', Buffer.from([0xfe, 0xff, 0, 0x7b]), 'day.ndjson is UTF-16'],
    ['gzip', gzipSync('{}\n'), 'gunzip -c FILE | npx whence send -'],
    ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0]), 'zstdcat'],
  ])('%s is refused, with what to do', (_, bytes, words) => {
    expect(() => split(bytes)).toThrow(NotLinesError);
    expect(() => split(bytes)).toThrow(words);
  });
});
