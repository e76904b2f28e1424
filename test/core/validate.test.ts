import { describe, expect, test } from 'vitest';
import { parseEvent, validateEvent, type Rejection } from '../../attribution/validate.ts';
import { BASE, impression, playback, wireImpression, wireOrigin, wirePlayback, workOf } from './samples.ts';

/** What a field must be; the longest text of its sort. */
type Sort = 'id' | 'text' | 'int32' | 'number' | 'boolean' | readonly string[];
interface Field {
  name: string;
  sort: Sort;
  required: boolean;
}
interface Shape {
  what: string;
  /** Of the fields in messages. */
  prefix: string;
  fields: Field[];
  /** A valid event as it is on the wire, with this field altered; undefined leaves it out. */
  wire: (name: string, value: unknown) => Record<string, unknown>;
}

const required = (sort: Sort, ...names: string[]): Field[] => names.map((name) => ({ name, sort, required: true }));
const optional = (sort: Sort, ...names: string[]): Field[] => names.map((name) => ({ name, sort, required: false }));
const PROFILE_TYPES = ['standard', 'kids'];

/** The contract of DESIGN §2, once more. */
const shapes: Shape[] = [
  {
    what: 'an impression',
    prefix: '',
    fields: [
      ...required('id', 'event_id', 'profile_id', 'country', 'device_type', 'page_view_id', 'page', 'row_type'),
      ...required('id', 'title_id'),
      ...required('text', 'row_id'),
      ...required('int32', 'row_rank', 'position'),
      ...optional('id', 'series_id'),
      ...optional('text', 'token'),
      ...optional(PROFILE_TYPES, 'profile_type'),
    ],
    wire: (name, value) => ({ ...wireImpression(), [name]: value }),
  },
  {
    what: 'a playback event',
    prefix: '',
    fields: [
      ...required(['start', 'resume', 'heartbeat', 'pause', 'stop'], 'action'),
      ...required('id', 'event_id', 'profile_id', 'country', 'device_type', 'playback_id', 'title_id'),
      ...optional('id', 'series_id'),
      ...optional(['main', 'trailer', 'preview'], 'kind'),
      ...optional('boolean', 'muted_autoplay'),
      ...optional('number', 'position_ms', 'runtime_ms'),
      ...optional(PROFILE_TYPES, 'profile_type'),
    ],
    wire: (name, value) => ({ ...wirePlayback(), [name]: value }),
  },
  {
    what: 'an origin',
    prefix: 'origin.',
    fields: [
      ...required('id', 'surface'),
      ...optional('id', 'row_type', 'impression_id'),
      ...optional('text', 'row_id', 'token'),
      ...optional('int32', 'row_rank', 'position'),
    ],
    wire: (name, value) => ({ ...wirePlayback(), origin: { ...wireOrigin(), [name]: value } }),
  },
];

const WORDS = { id: 'a string', text: 'a string', int32: 'an integer of 32 bits', number: 'a number' };
const EXPECTED = (sort: Sort): string => {
  if (typeof sort === 'object') return `one of ${sort.join(', ')}`;
  return sort === 'boolean' ? 'true or false' : WORDS[sort];
};
const LONGEST = { id: 256, text: 4096 };

/** Values of another JSON type, and how a message quotes them. */
const OTHERS: [string, unknown, string][] = [
  ['string', 'five', '"five"'],
  ['number', 5, '5'],
  ['boolean', true, 'true'],
  ['object', { a: [1] }, '{"a":[1]}'],
  ['array', ['x', null], '["x",null]'],
];
const jsonType = (sort: Sort): string => {
  if (sort === 'int32' || sort === 'number') return 'number';
  return sort === 'boolean' ? 'boolean' : 'string';
};

function rejection(value: unknown, stampedAt = BASE): Rejection {
  const read = validateEvent(value, stampedAt);
  if (read.ok) throw new Error(`accepted: ${JSON.stringify(read.event)}`);
  return read.rejection;
}

function rejected(reason: Rejection['reason'], field: string | null, message: string): Rejection {
  return { reason, field, message, eventTime: BASE };
}

test('a full impression is read as it is, without the fields that the contract does not know', () => {
  const event = impression({ token: 'token-1', profile_type: 'kids', context: { unknown: [1, null, 'x'] } });
  expect(validateEvent(wireImpression(), BASE)).toEqual({ ok: true, event });
});

test('a full playback event is read as it is, without the fields that the contract does not know', () => {
  const { context: _, ...event } = wirePlayback();
  expect(validateEvent(wirePlayback(), BASE)).toEqual({ ok: true, event });
});

test('the context of an impression is kept as it came, and an absent one is null', () => {
  const read = (context: unknown) => {
    const validation = validateEvent({ ...wireImpression(), context }, BASE);
    return validation.ok && validation.event.type === 'impression' ? validation.event.context : validation;
  };
  const given = { a: { b: [{}, null] } };
  expect(read(given)).toBe(given);
  expect(read(undefined)).toBeNull();
  expect(read(null)).toBeNull();
});

test('a context that is no object, or too deep to be written down, is rejected', () => {
  const context = (value: unknown) => rejection({ ...wireImpression(), context: value });
  const expected = (shown: string) => `context is ${shown}, expected an object`;
  expect(context('x')).toEqual(rejected('wrong_type', 'context', expected('"x"')));
  expect(context([1])).toEqual(rejected('wrong_type', 'context', expected('[1]')));
  const nested = (levels: number): unknown => (levels === 1 ? {} : { in: nested(levels - 1) });
  expect(validateEvent({ ...wireImpression(), context: nested(100) }, BASE)).toMatchObject({ ok: true });
  expect(context(nested(101))).toEqual(rejected('bad_value', 'context', 'context nests deeper than 100 levels'));
  const lists = JSON.parse(`{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}`);
  expect(context(lists)).toEqual(rejected('bad_value', 'context', 'context nests deeper than 100 levels'));
});

test('the work of an event is its series, or the title where there is none', () => {
  expect(workOf(impression())).toBe('series-1');
  expect(workOf(playback({ series_id: null }))).toBe('episode-1');
});

test('an event has exactly the fields that are listed here, and the type, time and origin', () => {
  const names = shapes.map(({ fields }) => fields.map(({ name }) => name));
  const expected = [
    [...(names[0] ?? []), 'type', 'event_time', 'context'],
    [...(names[1] ?? []), 'type', 'event_time', 'origin'],
    names[2] ?? [],
  ];
  for (const [index, value] of [impression(), playback(), wireOrigin()].entries()) {
    expect(Object.keys(value).sort()).toEqual(expected[index]?.sort());
  }
});

describe.each(shapes)('$what', ({ prefix, fields, wire }) => {
  const requiredFields = fields.filter((field) => field.required);
  const optionalFields = fields.filter((field) => !field.required);

  test.each(requiredFields)('without $name is missing a field', ({ name, sort }) => {
    const path = prefix + name;
    const message = `${path} is missing, expected ${EXPECTED(sort)}`;
    expect(rejection(wire(name, undefined))).toEqual(rejected('missing_field', path, message));
  });

  test.each(requiredFields)('with null for $name has the wrong type', ({ name, sort }) => {
    const path = prefix + name;
    const message = `${path} is null, expected ${EXPECTED(sort)}`;
    expect(rejection(wire(name, null))).toEqual(rejected('wrong_type', path, message));
  });

  test.each(optionalFields)('reads $name as null where it is null or absent', ({ name }) => {
    for (const nothing of [null, undefined]) {
      const read = validateEvent(wire(name, nothing), BASE);
      expect(read).toMatchObject({ ok: true, event: prefix === '' ? { [name]: null } : { origin: { [name]: null } } });
    }
  });

  test.each(fields)('with $name of another type says what was there', ({ name, sort }) => {
    const path = prefix + name;
    for (const [type, value, quoted] of OTHERS) {
      if (type === jsonType(sort)) continue;
      const message = `${path} is ${quoted}, expected ${EXPECTED(sort)}`;
      expect(rejection(wire(name, value))).toEqual(rejected('wrong_type', path, message));
    }
  });

  const texts = fields.filter(({ sort }) => sort === 'id' || sort === 'text');
  test.each(texts)('with an empty $name is rejected, required or not', ({ name }) => {
    const path = prefix + name;
    const message = `${path} is "", expected a string that is not empty`;
    expect(rejection(wire(name, ''))).toEqual(rejected('bad_value', path, message));
  });

  test.each(texts)('with too long a $name is rejected, and not with one as long as allowed', ({ name, sort }) => {
    const path = prefix + name;
    const longest = LONGEST[sort as 'id' | 'text'];
    expect(validateEvent(wire(name, 'é'.repeat(longest)), BASE).ok).toBe(true);
    const message = `${path} has ${longest + 1} characters, expected at most ${longest}`;
    expect(rejection(wire(name, 'é'.repeat(longest + 1)))).toEqual(rejected('bad_value', path, message));
  });

  test.each(texts)('with a $name that no database stores is rejected', ({ name }) => {
    const path = prefix + name;
    const unstorable: [string, string][] = [
      ['a\0b', '"a\\u0000b"'],
      ['a\uD800b', '"a\\ud800b"'],
      ['\uDC00', '"\\udc00"'],
    ];
    for (const [value, quoted] of unstorable) {
      const message = `${path} is ${quoted}, expected a string without NUL characters and lone surrogates`;
      expect(rejection(wire(name, value))).toEqual(rejected('bad_value', path, message));
    }
    expect(validateEvent(wire(name, '\u{1D49C}'), BASE).ok).toBe(true);
  });

  test.each(fields.filter(({ sort }) => sort === 'int32'))('with a $name of more than 32 bits is rejected', (field) => {
    const path = prefix + field.name;
    for (const value of [0.5, 2 ** 31, -(2 ** 31), 1e300, Infinity, Number.NaN]) {
      const message = `${path} is ${value}, expected an integer of 32 bits`;
      expect(rejection(wire(field.name, value))).toEqual(rejected('bad_value', path, message));
    }
    for (const value of [0, -1, 2 ** 31 - 1, 1 - 2 ** 31]) {
      expect(validateEvent(wire(field.name, value), BASE).ok).toBe(true);
    }
  });

  test.each(fields.filter(({ sort }) => typeof sort === 'object'))('has one of the values of $name', (field) => {
    const path = prefix + field.name;
    const values = field.sort as readonly string[];
    for (const value of values) {
      expect(validateEvent(wire(field.name, value), BASE)).toMatchObject({ ok: true, event: { [field.name]: value } });
    }
    for (const value of ['other', '', (values[0] ?? '').toUpperCase()]) {
      const message = `${path} is "${value}", expected one of ${values.join(', ')}`;
      expect(rejection(wire(field.name, value))).toEqual(rejected('bad_value', path, message));
    }
  });
});

test.each(['position_ms', 'runtime_ms'])('%s is any number, a fraction or negative too, but a number', (name) => {
  for (const value of [0.25, -7, 1e300]) {
    expect(validateEvent({ ...wirePlayback(), [name]: value }, BASE)).toMatchObject({ event: { [name]: value } });
  }
  // What JSON writes as 1e999 is read as Infinity.
  expect(rejection({ ...wirePlayback(), [name]: Infinity })).toEqual(
    rejected('bad_value', name, `${name} is Infinity, expected a number`),
  );
});

test('a -0 is read as 0 wherever a number may stand', () => {
  const seen = parseEvent(JSON.stringify(wireImpression()).replace('"row_rank":3', '"row_rank":-0'), BASE);
  expect(seen).toMatchObject({ event: { row_rank: 0 } });
  const text = JSON.stringify({ ...wirePlayback(), event_time: 1, position_ms: 2, runtime_ms: 3 });
  const zeros = text.replace(/"(event_time|position_ms|runtime_ms)":\d/g, '"$1":-0');
  expect(parseEvent(zeros, BASE)).toMatchObject({ event: { event_time: 0, position_ms: 0, runtime_ms: 0 } });
});

test('an origin is an object, or nothing', () => {
  for (const nothing of [null, undefined]) {
    expect(validateEvent({ ...wirePlayback(), origin: nothing }, BASE)).toMatchObject({ event: { origin: null } });
  }
  for (const [value, quoted] of [['home', '"home"'] as const, [['home'], '["home"]'] as const, [0, '0'] as const]) {
    const message = `origin is ${quoted}, expected an object`;
    expect(rejection({ ...wirePlayback(), origin: value })).toEqual(rejected('wrong_type', 'origin', message));
  }
});
