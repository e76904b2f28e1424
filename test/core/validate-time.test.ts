import { describe, expect, test } from 'vitest';
import { FUTURE_TOLERANCE_MS, validateEvent, type Validation } from '../../attribution/validate.ts';
import { BASE, wireImpression, wirePlayback } from './samples.ts';

const EXPECTED = 'epoch milliseconds (an integer from 0) or an ISO-8601 time with an offset';

function read(eventTime: unknown, stampedAt = Infinity): Validation {
  return validateEvent({ ...wireImpression(), event_time: eventTime }, stampedAt);
}

function rejectedAs(reason: string, quoted: string) {
  const message = `event_time is ${quoted}, expected ${EXPECTED}`;
  return { ok: false, rejection: { reason, field: 'event_time', message, eventTime: null } };
}

describe('event_time', () => {
  test.each([0, 1, BASE, 8.64e15])('%d is a time', (time) => {
    expect(read(time)).toMatchObject({ ok: true, event: { event_time: time } });
  });

  test.each([-1, 0.5, BASE + 0.25, 8.64e15 + 1, 1e300])('%d is a number, but no time', (time) => {
    expect(read(time)).toEqual(rejectedAs('bad_value', String(time)));
  });

  test('a number that JSON reads as infinite is named as it was read', () => {
    expect(read(Infinity)).toEqual(rejectedAs('bad_value', 'Infinity'));
    expect(read(-Infinity)).toEqual(rejectedAs('bad_value', '-Infinity'));
  });

  test.each([
    ['2025-11-24T16:00:00Z', BASE],
    ['2025-11-24T16:00:00.000Z', BASE],
    ['2025-11-24T18:30:00+02:30', BASE],
    ['2025-11-24T08:00:00.25-08:00', BASE + 250],
    ['1970-01-01T00:00Z', 0],
  ])('%s is a time', (text, time) => {
    expect(read(text)).toMatchObject({ ok: true, event: { event_time: time } });
  });

  test.each([
    '',
    'now',
    '1764000000000',
    '2025-11-24',
    '2025-11-24T16:00:00',
    '2025-11-31T16:00:00Z',
    '2025-02-29T00:00:00Z',
    '2025-13-01T00:00:00Z',
    '2025-11-24T24:00:00Z',
    '1969-12-31T23:59:59.999Z',
  ])('"%s" is a text, but no time', (text) => {
    expect(read(text)).toEqual(rejectedAs('bad_value', JSON.stringify(text)));
  });

  test.each([
    [null, 'null'],
    [true, 'true'],
    [{ ms: 1 }, '{"ms":1}'],
    [[1], '[1]'],
  ])('%j is of the wrong type', (value, quoted) => {
    expect(read(value)).toEqual(rejectedAs('wrong_type', quoted));
  });

  test('that is missing is a missing field, of both types of event', () => {
    const message = `event_time is missing, expected ${EXPECTED}`;
    const expected = { reason: 'missing_field', field: 'event_time', message, eventTime: null };
    for (const wire of [wireImpression(), wirePlayback()]) {
      delete wire.event_time;
      expect(validateEvent(wire, BASE)).toEqual({ ok: false, rejection: expected });
    }
  });
});

describe('an event of the future', () => {
  test('is accepted up to five minutes after its Kafka timestamp, of both types', () => {
    expect(FUTURE_TOLERANCE_MS).toBe(300_000);
    for (const wire of [wireImpression(), wirePlayback()]) {
      expect(validateEvent(wire, BASE - 300_000).ok).toBe(true);
      expect(validateEvent(wire, BASE - 300_001)).toEqual({
        ok: false,
        rejection: {
          reason: 'in_the_future',
          field: 'event_time',
          message: `event_time ${BASE} is 301 s after the record's Kafka timestamp, expected at most 300 s`,
          eventTime: BASE,
        },
      });
    }
  });

  test('is rejected with its own words where the time is a text', () => {
    const rejected = read('2025-11-24T16:00:00Z', BASE - 3_600_000);
    expect(rejected).toMatchObject({
      rejection: {
        message:
          'event_time "2025-11-24T16:00:00Z" is 3600 s after the record\'s Kafka timestamp, expected at most 300 s',
        eventTime: BASE,
      },
    });
  });

  test('is no fault where there is no timestamp to hold against', () => {
    expect(read(8.64e15, Infinity).ok).toBe(true);
  });

  test('an event long past is none', () => {
    expect(read(0, BASE).ok).toBe(true);
  });
});

function eventTimeOfRejection(eventTime: unknown): number | null | undefined {
  const read = validateEvent({ type: 'other', event_time: eventTime }, BASE);
  return read.ok ? undefined : read.rejection.eventTime;
}

describe('the event time of a rejected record', () => {
  test.each([
    [BASE, BASE],
    [0, 0],
    ['2025-11-24T18:00:00+02:00', BASE],
    [8.64e15, 8.64e15],
  ])('%j is read even though another field is at fault', (value, time) => {
    expect(eventTimeOfRejection(value)).toBe(time);
  });

  test.each([undefined, null, -1, 0.5, 'yesterday', Infinity, {}, true])('%j says none', (value) => {
    expect(eventTimeOfRejection(value)).toBeNull();
  });
});
