import { describe, expect, test } from 'vitest';
import { parseEvent, REJECTION_REASONS, validateEvent, type Rejection } from '../../attribution/validate.ts';
import { BASE, wireImpression } from './samples.ts';

function rejection(value: unknown, stampedAt = BASE): Rejection {
  const read = validateEvent(value, stampedAt);
  if (read.ok) throw new Error(`accepted: ${JSON.stringify(read.event)}`);
  return read.rejection;
}

function rejected(reason: Rejection['reason'], field: string | null, message: string): Rejection {
  return { reason, field, message, eventTime: BASE };
}

describe('the record as a whole', () => {
  test('has a type of the two', () => {
    const expected = 'expected "impression" or "playback"';
    const wire = wireImpression();
    expect(rejection({ ...wire, type: undefined })).toEqual(
      rejected('missing_field', 'type', `type is missing, ${expected}`),
    );
    expect(rejection({ ...wire, type: null })).toEqual(rejected('wrong_type', 'type', `type is null, ${expected}`));
    expect(rejection({ ...wire, type: 7 })).toEqual(rejected('wrong_type', 'type', `type is 7, ${expected}`));
    expect(rejection({ ...wire, type: 'Impression' })).toEqual(
      rejected('bad_value', 'type', `type is "Impression", ${expected}`),
    );
  });

  test.each([
    ['[]', '[]'],
    ['null', 'null'],
    ['17', '17'],
    ['"impression"', '"impression"'],
  ])('%s is no object', (text, quoted) => {
    const message = `found ${quoted}, expected a JSON object`;
    expect(parseEvent(text, BASE)).toEqual({
      ok: false,
      rejection: { reason: 'not_an_object', field: null, message, eventTime: null },
    });
  });

  test.each([null, ''])('that is empty (%j) is not JSON', (text) => {
    const message = 'the record is empty, expected a JSON object';
    expect(parseEvent(text, BASE)).toEqual({
      ok: false,
      rejection: { reason: 'not_json', field: null, message, eventTime: null },
    });
  });

  test.each(['{', '{"type":"impression",}', 'hello', '\0', '\uD800', "{'a':1}"])('%j is not JSON', (text) => {
    const read = parseEvent(text, BASE);
    expect(read).toMatchObject({ ok: false, rejection: { reason: 'not_json', field: null, eventTime: null } });
    expect(!read.ok && read.rejection.message).toMatch(/^not JSON: ./);
  });

  test('quotes what a parser quotes of it so that a database can store it', () => {
    const read = parseEvent('\0', BASE);
    expect(!read.ok && read.rejection.message).toContain('"\\u0000"');
  });

  test('of JSON that nests deeper than the stack is rejected like any other', () => {
    const deep = '['.repeat(200_000) + ']'.repeat(200_000);
    const withPage = JSON.stringify({ ...wireImpression(), page: 'PAGE' });
    const found = [
      [deep, null, 'found [[[…]]], '],
      [`{"type":${deep}}`, 'type', 'type is [[[…]]], '],
      [withPage.replace('"PAGE"', `{"a":${deep}}`), 'page', 'page is {"a":[[…]]}, '],
      [withPage.replace('"PAGE"', '[{"a":{"b":1}}]'), 'page', 'page is [{"a":{…}}], '],
    ] as const;
    for (const [text, field, quoted] of found) {
      const message: unknown = expect.stringContaining(quoted);
      expect(parseEvent(text, BASE)).toMatchObject({ ok: false, rejection: { field, message } });
    }
  });

  test('quotes a long value cut to 80 characters, and leaves no half of a character', () => {
    const long = rejection({ ...wireImpression(), profile_type: 'x'.repeat(1000) });
    expect(long.message).toBe(`profile_type is "${'x'.repeat(79)}…, expected one of standard, kids`);
    const whole = rejection({ ...wireImpression(), profile_type: 'x'.repeat(78) });
    expect(whole.message).toBe(`profile_type is "${'x'.repeat(78)}", expected one of standard, kids`);
    const half = rejection({ ...wireImpression(), profile_type: `${'x'.repeat(78)}\u{1D49C}` });
    expect(half.message).toBe(`profile_type is "${'x'.repeat(78)}\uFFFD…, expected one of standard, kids`);
  });

  test('names the first fault of the contract where it has several', () => {
    expect(rejection({ type: 'impression' }).field).toBe('event_id');
    expect(rejection({ type: 'playback' }).field).toBe('action');
  });

  test('is rejected for one of the listed reasons', () => {
    expect(REJECTION_REASONS).toEqual([
      'not_json',
      'not_an_object',
      'missing_field',
      'wrong_type',
      'bad_value',
      'in_the_future',
    ]);
  });
});
