import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LogClock } from '../../attribution/clock.ts';
import {
  DAY,
  HOUR,
  isoTime,
  MAX_TIME,
  MINUTE,
  parseIsoTime,
  plainIsoTime,
  SECOND,
  utcDay,
} from '../../attribution/time.ts';
import { runs } from './runs.ts';

const FIRST = Date.parse('0000-01-01T00:00:00Z');
const LAST = Date.parse('9999-12-31T23:59:59.999Z');
const two = (max: number) => fc.integer({ min: 0, max }).map((value) => String(value).padStart(2, '0'));
const date = [fc.integer({ min: 1900, max: 2100 }).map(String), fc.constant('-'), two(13), fc.constant('-'), two(32)];
const minute = [fc.constant('T'), two(24), fc.constant(':'), two(60)];
const instant = fc.integer({ min: FIRST, max: LAST });

test('durations are in milliseconds', () => {
  expect([SECOND, MINUTE, HOUR, DAY]).toEqual([1_000, 60_000, 3_600_000, 86_400_000]);
  expect(Number.isNaN(new Date(MAX_TIME).getTime())).toBe(false);
  expect(Number.isNaN(new Date(MAX_TIME + 1).getTime())).toBe(true);
});

describe('a time as a text', () => {
  test('names the instant that JavaScript reads in it', () => {
    fc.assert(
      fc.property(instant, (time) => {
        expect(parseIsoTime(new Date(time).toISOString())).toBe(time);
      }),
    );
  });

  test('is read as JavaScript reads it wherever both accept it', () => {
    const parts = [
      ...date,
      ...minute,
      fc.option(two(60), { nil: undefined }).map((seconds) => (seconds === undefined ? '' : `:${seconds}`)),
      fc.constantFrom('', '', '.5', '.25', '.125'),
      fc.constantFrom('', 'Z', 'Z', '+00:00', '-00:00', '+01:30', '-11:45', '+23:59', '+24:00', '-12:60'),
    ];
    let both = 0;
    fc.assert(
      fc.property(fc.tuple(...parts), (drawn) => {
        const text = drawn.join('');
        const ours = parseIsoTime(text);
        const theirs = Date.parse(text);
        if (ours === null || Number.isNaN(theirs)) return;
        both++;
        expect(ours).toBe(theirs);
      }),
      { numRuns: runs(5_000) },
    );
    expect(both).toBeGreaterThan(runs(5_000) / 15);
  });

  test.each([
    ['2025-11-24T16:00:00Z', '2025-11-24T16:00:00.000Z'],
    ['2025-11-24t16:00:00z', '2025-11-24T16:00:00.000Z'],
    ['2025-11-24 16:00:00Z', '2025-11-24T16:00:00.000Z'],
    ['2025-11-24T16:00Z', '2025-11-24T16:00:00.000Z'],
    ['2025-11-24T16:00:00.1Z', '2025-11-24T16:00:00.100Z'],
    ['2025-11-24T16:00:00,12Z', '2025-11-24T16:00:00.120Z'],
    ['2025-11-24T16:00:00.123999999Z', '2025-11-24T16:00:00.123Z'],
    ['2025-11-24T16:00:00.000001Z', '2025-11-24T16:00:00.000Z'],
    ['2025-11-24T16:00:00+01', '2025-11-24T15:00:00.000Z'],
    ['2025-11-24T16:00:00+0130', '2025-11-24T14:30:00.000Z'],
    ['2025-11-24T16:00:00-01:30', '2025-11-24T17:30:00.000Z'],
    ['2025-11-24T00:30:00+01:00', '2025-11-23T23:30:00.000Z'],
    ['2025-12-31T23:59:59-00:01', '2026-01-01T00:00:59.000Z'],
    ['2024-02-29T00:00:00Z', '2024-02-29T00:00:00.000Z'],
    ['2000-02-29T23:59:59+23:59', '2000-02-29T00:00:59.000Z'],
    ['0000-01-01T00:00:00Z', '0000-01-01T00:00:00.000Z'],
  ])('%s is %s', (text, expected) => {
    expect(parseIsoTime(text)).toBe(Date.parse(expected));
  });

  test.each([
    ['has no offset', '2025-11-24T16:00:00'],
    ['has no offset, though a fraction', '2025-11-24T16:00:00.5'],
    ['has no time', '2025-11-24'],
    ['has no minute', '2025-11-24T16Z'],
    ['has a month 0', '2025-00-24T16:00:00Z'],
    ['has a month 13', '2025-13-24T16:00:00Z'],
    ['has a day 0', '2025-11-00T16:00:00Z'],
    ['has a day that the month does not', '2025-11-31T16:00:00Z'],
    ['has a day that February does not', '2025-02-30T16:00:00Z'],
    ['has a leap day in another year', '2025-02-29T16:00:00Z'],
    ['has a leap day in 1900', '1900-02-29T16:00:00Z'],
    ['has an hour 24', '2025-11-24T24:00:00Z'],
    ['has a minute 60', '2025-11-24T16:60:00Z'],
    ['has a leap second', '2025-12-31T23:59:60Z'],
    ['has an offset of 24 hours', '2025-11-24T16:00:00+24:00'],
    ['has an offset of 60 minutes', '2025-11-24T16:00:00+01:60'],
    ['has a point and no fraction', '2025-11-24T16:00:00.Z'],
    ['has a fraction of a minute', '2025-11-24T16:00.5Z'],
    ['has more digits than nanoseconds', '2025-11-24T16:00:00.1234567891Z'],
    ['has a year of five digits', '12025-11-24T16:00:00Z'],
    ['has a sign', '+2025-11-24T16:00:00Z'],
    ['begins with something else', 'x2025-11-24T16:00:00Z'],
    ['ends with something else', '2025-11-24T16:00:00Z '],
    ['has digits of another script', '２０２５-11-24T16:00:00Z'],
    ['is a number', '1764000000000'],
    ['is a date of RFC 2822', 'Mon, 24 Nov 2025 16:00:00 GMT'],
    ['is empty', ''],
  ])('names none where it %s', (_, text) => {
    expect(parseIsoTime(text)).toBeNull();
  });
});

test('the UTC day of a time is its date, far ones too', () => {
  expect(utcDay(0)).toBe('1970-01-01');
  expect(utcDay(Date.parse('2025-11-24T23:59:59.999Z'))).toBe('2025-11-24');
  expect(utcDay(Date.parse('2025-11-25T00:00:00.000Z'))).toBe('2025-11-25');
  expect(utcDay(MAX_TIME)).toBe('+275760-09-13');
});

test('a time is written as JavaScript writes it, whichever was before', () => {
  const near = fc.tuple(instant, fc.integer({ min: -DAY, max: DAY })).map(([time, by]) => [time, time + by]);
  const any = fc.array(fc.integer({ min: -MAX_TIME, max: MAX_TIME }), { maxLength: 3 });
  fc.assert(
    fc.property(fc.oneof(near, any), (times) => {
      expect(times.map(isoTime)).toEqual(times.map((time) => new Date(time).toISOString()));
      expect(times.map(utcDay)).toEqual(times.map((time) => new Date(time).toISOString().split('T')[0]));
    }),
    { numRuns: runs(1_000) },
  );
  expect(() => isoTime(NaN)).toThrow(RangeError);
  expect(isoTime(MAX_TIME)).toBe('+275760-09-13T00:00:00.000Z');
  expect(() => isoTime(MAX_TIME + 1)).toThrow(RangeError);
});

describe('the clock of a log', () => {
  const rules = { allowedLateness: 10 * MINUTE };

  test('stands at the greatest time of what was read', () => {
    fc.assert(
      fc.property(fc.array(instant, { minLength: 1 }), (times) => {
        const clock = new LogClock();
        for (const time of times) clock.advance(time);
        expect(clock.now).toBe(Math.max(...times));
      }),
    );
  });

  test('makes nothing late before the first record', () => {
    expect(new LogClock().isLate(0, rules)).toBe(false);
  });

  test('makes late what is more than the allowed lateness before it, and not what is exactly that', () => {
    const clock = new LogClock();
    clock.advance(DAY);
    expect(clock.isLate(DAY - 10 * MINUTE, rules)).toBe(false);
    expect(clock.isLate(DAY - 10 * MINUTE - 1, rules)).toBe(true);
    expect(clock.isLate(DAY, rules)).toBe(false);
  });
});

describe('a time as the bytes of a text', () => {
  const bytesAround = (text: string) => Buffer.from(`"${text}"`, 'latin1');

  test('is read as its text is, wherever it is read at all', () => {
    const plain = fc.tuple(...date, ...minute, fc.constant(':'), two(60), fc.constantFrom('.123', '.000', '.12a', ''));
    const texts = fc.oneof(
      instant.map((time) => new Date(time).toISOString()),
      plain.map((parts) => `${parts.join('')}Z`),
      fc.string({ unit: 'binary-ascii', minLength: 24, maxLength: 24 }),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const time = plainIsoTime(bytesAround(text), 1, 1 + text.length);
        if (time !== null) expect(time).toBe(parseIsoTime(text));
      }),
      { numRuns: runs(2_000) },
    );
  });

  test('is read where it is in UTC, with milliseconds, of a day that its month has every year', () => {
    const read = (text: string) => plainIsoTime(bytesAround(text), 1, 1 + text.length);
    for (const date of ['2025-11-24', '2025-11-30', '2025-12-31', '2024-02-28']) {
      expect(read(`${date}T16:00:00.123Z`)).toBe(Date.parse(`${date}T16:00:00.123Z`));
    }
    for (const date of ['2025-11-31', '2024-02-29', '2025-02-29', '2025-13-01', '2025-00-01', '2025-11-00']) {
      expect(read(`${date}T16:00:00.123Z`)).toBeNull();
    }
    expect(read('2025-11-24T16:00:00Z')).toBeNull();
  });
});
