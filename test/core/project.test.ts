import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { EventFields, TEXT } from '../../attribution/facts/event-fields.ts';
import { projectRecord, type RecordBytes } from '../../attribution/project.ts';
import { FUTURE_TOLERANCE_MS, parseRecord } from '../../attribution/validate.ts';
import { simulate } from '../../simulator/simulate.ts';
import { runs } from './runs.ts';
import { BASE, wireImpression, wireOrigin, wirePlayback } from './samples.ts';

/** All that is read of an event, in words. */
function said(fields: EventFields) {
  const { bytes, begin, end, isPlayback, eventTime, isExcluded } = fields;
  const text = (place: number) =>
    begin[place] < 0 ? null : Buffer.from(bytes.subarray(begin[place], end[place])).toString('utf8');
  const of = (names: readonly (keyof typeof TEXT)[]) =>
    Object.fromEntries(names.map((name) => [name, text(TEXT[name])]));
  const common = {
    ...of(['eventId', 'profileId', 'titleId', 'seriesId', 'country', 'deviceType']),
    isPlayback,
    eventTime,
    isExcluded,
  };
  if (!isPlayback) {
    const { rowRank, position } = fields;
    return { ...common, ...of(['surface', 'rowType', 'rowId', 'token']), rowRank, position };
  }
  const { action, kind, muted, runtime, hasOrigin, originRowRank, originPosition } = fields;
  const origin = hasOrigin && {
    ...of(['originSurface', 'originRowType', 'originRowId', 'originToken', 'originImpressionId']),
    originRowRank,
    originPosition,
  };
  return { ...common, ...of(['playbackId']), action, kind, muted, runtime, origin };
}

/** A record as it stands among others in one piece of memory. */
function amongOthers(record: Buffer): RecordBytes {
  const bytes = Buffer.concat([Buffer.from('{"type":'), record, Buffer.from('"}}')]);
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length), begin: 8, end: 8 + record.length };
}

/** Projects a record and holds what comes of it against `JSON.parse` and the contract. @returns whether it was plain */
function projects(text: string | Buffer, stampedAt = BASE): boolean {
  const record = typeof text === 'string' ? Buffer.from(text) : text;
  const fields = new EventFields();
  // What was read before must not shine through.
  projectRecord(amongOthers(Buffer.from(JSON.stringify(wirePlayback()))), BASE, fields);
  if (!projectRecord(amongOthers(record), stampedAt, fields)) return false;
  const read = parseRecord(record, stampedAt);
  if (!read.ok) throw new Error(`Accepted what the contract rejects (${read.rejection.message}): ${record.toString()}`);
  expect(said(fields)).toEqual(said(new EventFields().set(read.event)));
  return true;
}

/** Too short, too long, beyond what there is, half of a pair, and none that could begin. */
const NO_UTF8 = [[0xc3], [0xc3, 0x28], [0xc0, 0xaf], [0xf4, 0x90, 0x80, 0x80], [0xed, 0xa0, 0x80], [0xbf]];

/** With these bytes in the first text `p1`. */
function withBytes(json: string, bytes: readonly number[]): Buffer {
  const at = json.indexOf('"p1"') + 2;
  return Buffer.concat([Buffer.from(json.slice(0, at)), Buffer.from(bytes), Buffer.from(json.slice(at))]);
}

const wires = [wireImpression, wirePlayback] as const;
const fieldNames = [...new Set([...wires, wireOrigin].flatMap((wire) => Object.keys(wire())))];

test('an event of every field is plain, and one of only what it must say', () => {
  for (const wire of wires) expect(projects(JSON.stringify(wire()))).toBe(true);
  for (const wire of wires) {
    const optional = [
      'series_id',
      'token',
      'profile_type',
      'context',
      'kind',
      'muted_autoplay',
      'position_ms',
      'origin',
    ];
    const least = Object.fromEntries(
      Object.entries(wire()).filter(([name]) => ![...optional, 'runtime_ms'].includes(name)),
    );
    expect(projects(JSON.stringify(least))).toBe(true);
    const nulls = { ...least, ...Object.fromEntries(optional.map((name) => [name, null])) };
    expect(projects(JSON.stringify(nulls))).toBe(true);
  }
});

test('what is unusual is left to JSON.parse and the contract', () => {
  const json = JSON.stringify(wireImpression());
  const unusual = [
    json.replace('"p1"', '"p\\u0031"'),
    json.replace('"p1"', '"a\tb"'),
    json.replace('"p1"', '""'),
    json.replace('"p1"', `"${'x'.repeat(257)}"`),
    json.replace('"p1"', `"${'é'.repeat(200)}"`),
    json.replace('"p1"', '"\\u00e9"'),
    json.replace('{', '{"\\u0074ype":"playback",'),
    json.replace('{', '{"typé":"playback",'),
    ...['\\x', '\\u12g4', '\\u123', '\\', '\n', '\\\n'].map((bad) => json.replace('{', `{"x":{"é":"é${bad}"},`)),
    json.replace('"p1"', 'null'),
    json.replace('"p1"', '7'),
    json.replace('{', '{"profile_id":"p2",'),
    json.replace('"row_rank":3', '"row_rank":03'),
    json.replace('"row_rank":3', '"row_rank":3.5'),
    json.replace('"row_rank":3', '"row_rank":2147483648'),
    json.replace(String(BASE), `${BASE}.5`),
    json.replace(String(BASE), '-1'),
    json.replace(String(BASE), '"2025-11-24T16:00:00"'),
    json.replace(String(BASE), String(BASE + FUTURE_TOLERANCE_MS + 1)),
    json.replace('"kids"', '"adult"'),
    json.replace('"impression"', '"Impression"'),
    `${json}x`,
    `${json}${json}`,
    json.slice(0, -1),
    `${json.slice(0, -1)},}`,
    `[${json}]`,
    '',
    '{}',
    'null',
    '{"type":"impression","a":{"b":[1,2,],"c":1}}',
    Buffer.concat([Buffer.from(json.slice(0, -1)), Buffer.from([0xff]), Buffer.from('}')]),
    ...NO_UTF8.map((bytes) => withBytes(json, bytes)),
    ...NO_UTF8.map((bytes) => withBytes(json.replace('{', '{"x":["p1"],'), bytes)),
  ];
  for (const text of unusual) expect(projects(text)).toBe(false);
});

test('white space, the order of fields, numbers of any notation and fields of no concern do not matter', () => {
  const json = JSON.stringify(wireImpression());
  const plain = [
    JSON.stringify(wireImpression(), null, 2),
    `\n ${json.replaceAll('":', '" :\t')} \r\n`,
    JSON.stringify(Object.fromEntries(Object.entries(wirePlayback()).toReversed())),
    json.replace('"row_rank":3', '"row_rank":3e0'),
    json.replace('"row_rank":3', '"row_rank":-0'),
    json.replace(String(BASE), '"2025-11-24T17:00:00.000+01:00"'),
    json.replace('"p1"', '"é"'),
    json.replace('"p1"', '"人 😀"'),
    json.replace('"p1"', `"${'é'.repeat(128)}"`),
    json.replace('{', '{"x":{"é\\t":"\\"\\\\\\/\\b\\f\\n\\r\\u00E9\\ud800 人 😀"},'),
    json.replace('{', '{"x":"\\u0000","y":["\\""],'),
    json.replace('{', '{"x":{"a":[1,-2.5e-3,true,false,null,{},[],"b"],"":0},"__proto__":{"type":"x"},'),
  ];
  for (const text of plain) expect(projects(text)).toBe(true);
});

const spaces = fc.constantFrom('', '', '', ' ', '\n\t');
const literal = fc.oneof(
  fc.constantFrom('null', 'true', 'false', '0', '-0', '1e3', '1.5', '007', '1e', '-', '.5', '1E+2', '9007199254740993'),
  fc.constantFrom(
    '"home"',
    '"kids"',
    '"start"',
    '"main"',
    '""',
    '"a\\"b"',
    '"\\ud800"',
    '"é"',
    '"\u0001"',
    '"playback"',
  ),
  fc.constantFrom(
    '{}',
    '[]',
    '{"a":1}',
    '{"a":1,"a":2}',
    '[1,]',
    '{a:1}',
    '[[[[]]]]',
    '{"surface":"home"}',
    '"2025-11-24"',
  ),
  fc.json(),
  fc.integer().map(String),
  fc.string().map((drawn) => JSON.stringify(drawn)),
  fc.string({ unit: 'binary' }).map((drawn) => JSON.stringify(drawn)),
);
const member = fc.record({
  name: fc.oneof(fc.constantFrom(...fieldNames), fc.string({ maxLength: 5 })),
  value: literal,
});
const wild = fc
  .record({
    base: fc.constantFrom(...wires).map((wire) => Object.entries(wire())),
    changes: fc.array(member, { maxLength: 3 }),
    more: fc.array(member, { maxLength: 2 }),
    space: spaces,
    cut: fc.option(fc.nat({ max: 600 }), { freq: 20 }),
    order: fc.integer(),
  })
  .map(({ base, changes, more, space, cut, order }) => {
    const changed = new Map(changes.map(({ name, value }) => [name, value]));
    const members = base.map(([name, value]) => `"${name}"${space}:${changed.get(name) ?? JSON.stringify(value)}`);
    if (order % 3 === 0) members.reverse();
    const added = more.map(({ name, value }) => `${JSON.stringify(name)}:${value}`);
    const text = `{${[...members, ...added].join(`${space},`)}}${space}`;
    return cut === null ? text : text.slice(0, cut);
  });

test('whatever a record says, what is accepted is what the contract accepts, and the same is read of it', () => {
  let plain = 0;
  fc.assert(
    fc.property(wild, (text) => {
      if (projects(text)) plain++;
    }),
    { numRuns: runs(5000) },
  );
  expect(plain).toBeGreaterThan(runs(5000) / 10);
});

test('a byte altered anywhere is read as the contract reads it', () => {
  let plain = 0;
  const other = { ...wireImpression(), row_id: 'é人😀', context: { 'é\t': ['人\u0001😀', '\\"'] } };
  const records = [...wires.map((wire) => wire()), other].map((each) => Buffer.from(JSON.stringify(each)));
  fc.assert(
    fc.property(fc.constantFrom(...records), fc.nat(), fc.nat({ max: 255 }), (record, at, byte) => {
      const altered = Buffer.from(record);
      altered[at % record.length] = byte;
      if (projects(altered, Infinity)) plain++;
    }),
    { numRuns: runs(3000) },
  );
  expect(plain).toBeGreaterThan(runs(3000) / 20);
});

test('nearly all records of the simulator are plain, and are read as the contract reads them', () => {
  let count = 0;
  let plain = 0;
  for (const batch of simulate({ profiles: 40, days: 1, seed: 3, from: Date.UTC(2025, 10, 1) }).batches) {
    for (const { line } of batch) {
      count++;
      if (projects(line, Infinity)) plain++;
    }
  }
  expect(count).toBeGreaterThan(2000);
  expect(plain / count).toBeGreaterThan(0.995);
});
