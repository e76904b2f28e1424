import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  parseEvent,
  parseRecord,
  REJECTION_REASONS,
  validateEvent,
  type Validation,
} from '../../attribution/validate.ts';
import { BASE, wireImpression, wireOrigin, wirePlayback } from './samples.ts';
import { runs } from './runs.ts';

/** UTF-8 and Postgres hold it, on one line. */
function expectStorable(read: Validation): void {
  if (read.ok) return;
  const { reason, message, field, eventTime } = read.rejection;
  expect(REJECTION_REASONS).toContain(reason);
  for (const text of [message, field ?? '']) {
    expect(text.isWellFormed()).toBe(true);
    expect(text).not.toContain('\0');
    expect(text.length).toBeLessThan(400);
  }
  expect(message).not.toBe('');
  if (eventTime !== null) expect(new Date(eventTime).toISOString()).toBeTypeOf('string');
}

const anyText = fc.string({ unit: 'binary', maxLength: 20 });
const hostileText = fc.oneof(anyText, fc.constantFrom('', '\0', '\uD800', 'x'.repeat(5000), '\uD800'.repeat(90)));
const hostileNumber = fc.oneof(fc.integer(), fc.double(), fc.constantFrom(-0, 2 ** 31, 8.64e15, BASE));
const anything = fc.oneof(
  fc.jsonValue(),
  hostileText,
  hostileNumber,
  fc.constantFrom(undefined, null, true, 10n, Symbol('x')),
  fc.anything({ key: anyText }),
);
const wireFields = [...new Set([wireImpression, wirePlayback, wireOrigin].flatMap((wire) => Object.keys(wire())))];
const wire = fc.constantFrom(wireImpression, wirePlayback).map((make) => make());
// A context is whatever JSON can say: what it can not (an undefined, a NaN) is never read from a record.
const mutation = fc
  .constantFrom(...wireFields)
  .chain((field) => fc.record({ field: fc.constant(field), value: field === 'context' ? fc.jsonValue() : anything }));
const mutations = fc.array(mutation, { maxLength: 4 });

test('any value is read or rejected, never thrown', () => {
  fc.assert(
    fc.property(anything, (value) => {
      expectStorable(validateEvent(value, BASE));
    }),
    { numRuns: runs(2000) },
  );
});

test('any text is read or rejected, never thrown', () => {
  const texts = fc.oneof(
    hostileText,
    fc.json(),
    fc.json().map((json) => json.slice(0, json.length / 2)),
  );
  fc.assert(
    fc.property(texts, (text) => {
      expectStorable(parseEvent(text, BASE));
    }),
    { numRuns: runs(2000) },
  );
});

test('a valid event with some fields altered is read or rejected, never thrown', () => {
  let accepted = 0;
  fc.assert(
    fc.property(wire, mutations, mutations, (event, changes, changesOfOrigin) => {
      const origin = {
        ...wireOrigin(),
        ...Object.fromEntries(changesOfOrigin.map(({ field, value }) => [field, value])),
      };
      const changed = { ...event, origin, ...Object.fromEntries(changes.map(({ field, value }) => [field, value])) };
      const read = validateEvent(changed, BASE);
      expectStorable(read);
      if (!read.ok) return;
      accepted++;
      // What was accepted is accepted again as it was read, and reads the same.
      expect(validateEvent(read.event, BASE)).toEqual(read);
      expect(parseEvent(JSON.stringify(read.event), BASE)).toEqual(read);
    }),
    { numRuns: runs(3000) },
  );
  expect(accepted).toBeGreaterThan(runs(3_000) / 50);
});

test('a valid event stays the same event whatever other fields it has', () => {
  const extra = fc.dictionary(
    anyText.filter((name) => !wireFields.includes(name)),
    fc.jsonValue(),
  );
  fc.assert(
    fc.property(wire, extra, (event, more) => {
      const plain = validateEvent(event, BASE);
      expect(plain.ok).toBe(true);
      expect(parseEvent(JSON.stringify({ ...more, ...event }), BASE)).toEqual(plain);
    }),
  );
});

test('what an object inherits is no field of it', () => {
  expect(parseEvent('{"__proto__":{"type":"impression"}}', BASE)).toMatchObject({
    rejection: { reason: 'missing_field', field: 'type' },
  });
});

test('the bytes of a record are read as their text, or are no UTF-8', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        hostileText,
        wire.map((event) => JSON.stringify(event)),
      ),
      (text) => {
        expect(parseRecord(Buffer.from(text), BASE)).toEqual(parseEvent(text.toWellFormed(), BASE));
      },
    ),
  );
  expect(parseRecord(null, BASE)).toEqual(parseEvent(null, BASE));
  const message = 'the record is not UTF-8, expected a JSON object';
  const broken = { reason: 'not_json', field: null, message, eventTime: null };
  for (const bytes of ['ff', '7b22c0af227d', 'eda080', 'c3']) {
    expect(parseRecord(Buffer.from(bytes, 'hex'), BASE)).toEqual({ ok: false, rejection: broken });
  }
});
