import { KIND_CODES, MUTED_CODES } from './derive.ts';
import { ACTIONS, KINDS, MAX_ID, MAX_TEXT, PROFILE_TYPES } from './events.ts';
import { hashOf } from './facts/bytes.ts';
import { TEXT, type EventFields, type Text } from './facts/event-fields.ts';
import { MAX_TIME, parseIsoTime } from './time.ts';
import { FUTURE_TOLERANCE_MS, MAX_INT32 } from './validate.ts';

/** Deeper objects are left to `JSON.parse`. */
const MAX_DEPTH = 32;

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN = 0x7b;
const CLOSE = 0x7d;

/** 1 for bytes that stand for themselves in a JSON string: printable ASCII but the quote and the backslash. */
const PLAIN = new Uint8Array(256);
for (let byte = 0x20; byte < 0x7f; byte++) PLAIN[byte] = byte === QUOTE || byte === 0x5c ? 0 : 1;

/** What a field's value is to be, and what becomes of it. */
type Field =
  | { kind: 'text'; longest: number; text: Text | null }
  | { kind: 'number'; set: (fields: EventFields, value: number) => boolean }
  | { kind: 'time' }
  | { kind: 'word'; words: readonly Uint8Array[]; set: (fields: EventFields, index: number) => void }
  | { kind: 'bool'; set: (fields: EventFields, value: boolean) => void }
  | { kind: 'context' }
  | { kind: 'origin' };

interface NamedField {
  name: Uint8Array;
  /** The name as producers write it: in quotes, with its colon. */
  quoted: Uint8Array;
  /** One bit. */
  bit: number;
  field: Field;
  /** What came after it in records before: producers write their fields in one order, some of them not always. */
  next: NamedField | null;
  other: NamedField | null;
}

const id = (text: Text | null): Field => ({ kind: 'text', longest: MAX_ID, text });
const text = (place: Text): Field => ({ kind: 'text', longest: MAX_TEXT, text: place });
const int32 = (set: (fields: EventFields, value: number) => void): Field => ({
  kind: 'number',
  set(fields, value) {
    set(fields, value);
    return Number.isInteger(value) && Math.abs(value) <= MAX_INT32;
  },
});

const SLOTS = 256;

/** The names of an object, found by a hash that no two of them share. */
class Names {
  readonly #slots: (NamedField | undefined)[];
  readonly #seed: number;
  readonly #bits: Readonly<Record<string, number>>;
  /** Before all of them. */
  readonly first: NamedField;

  constructor(fields: Readonly<Record<string, Field>>) {
    const named = Object.entries(fields).map(([name, field], index) => ({
      name: Buffer.from(name, 'latin1'),
      quoted: Buffer.from(`"${name}":`, 'latin1'),
      bit: 1 << index,
      field,
      next: null,
      other: null,
    }));
    this.first = { ...named[0], next: named[0] };
    this.#bits = Object.fromEntries(named.map(({ name, bit }) => [name.toString('latin1'), bit]));
    const slotsOf = (seed: number) => named.map(({ name }) => hashOf(name, 0, name.length, seed) & (SLOTS - 1));
    let seed = 0;
    while (new Set(slotsOf(seed)).size < named.length) seed++;
    this.#seed = seed;
    this.#slots = Array.from({ length: SLOTS });
    for (const [index, slot] of slotsOf(seed).entries()) this.#slots[slot] = named[index];
  }

  find(bytes: Uint8Array, begin: number, end: number): NamedField | undefined {
    const found = this.#slots[hashOf(bytes, begin, end, this.#seed) & (SLOTS - 1)];
    return found !== undefined && same(bytes, begin, end, found.name) ? found : undefined;
  }

  /** The bits of these names together. */
  all(...names: string[]): number {
    return names.reduce((bits, name) => bits | this.#bits[name], 0);
  }
}

function same(bytes: Uint8Array, begin: number, end: number, name: Uint8Array): boolean {
  if (end - begin !== name.length) return false;
  for (let i = 0; i < name.length; i++) if (bytes[begin + i] !== name[i]) return false;
  return true;
}

const words = (list: readonly string[]) => list.map((word) => Buffer.from(word, 'latin1'));
const TYPES = words(['impression', 'playback']);
const IMPRESSION = 0;
const nothing = () => {};

const EVENT = new Names({
  type: { kind: 'word', words: TYPES, set: (fields, index) => (fields.isPlayback = index !== IMPRESSION) },
  event_id: id(TEXT.eventId),
  event_time: { kind: 'time' },
  profile_id: id(TEXT.profileId),
  country: id(TEXT.country),
  device_type: id(TEXT.deviceType),
  title_id: id(TEXT.titleId),
  series_id: id(TEXT.seriesId),
  profile_type: { kind: 'word', words: words(PROFILE_TYPES), set: nothing },
  page_view_id: id(null),
  page: id(TEXT.surface),
  row_type: id(TEXT.rowType),
  row_id: text(TEXT.rowId),
  row_rank: int32((fields, value) => (fields.rowRank = value)),
  position: int32((fields, value) => (fields.position = value)),
  token: text(TEXT.token),
  context: { kind: 'context' },
  action: { kind: 'word', words: words(ACTIONS), set: (fields, index) => (fields.action = index) },
  playback_id: id(TEXT.playbackId),
  kind: { kind: 'word', words: words(KINDS), set: (fields, index) => (fields.kind = KIND_CODES[KINDS[index]]) },
  muted_autoplay: {
    kind: 'bool',
    set: (fields, value) => (fields.muted = value ? MUTED_CODES.yes : MUTED_CODES.no),
  },
  position_ms: { kind: 'number', set: () => true },
  runtime_ms: {
    kind: 'number',
    set(fields, value) {
      fields.runtime = value;
      return true;
    },
  },
  origin: { kind: 'origin' },
});
const OF_ANY = EVENT.all('type', 'event_id', 'event_time', 'profile_id', 'country', 'device_type', 'title_id');
const OF_IMPRESSION = OF_ANY | EVENT.all('page_view_id', 'page', 'row_type', 'row_id', 'row_rank', 'position');
const OF_PLAYBACK = OF_ANY | EVENT.all('action', 'playback_id');

const ORIGIN = new Names({
  surface: id(TEXT.originSurface),
  row_type: id(TEXT.originRowType),
  row_id: text(TEXT.originRowId),
  row_rank: int32((fields, value) => (fields.originRowRank = value)),
  position: int32((fields, value) => (fields.originPosition = value)),
  token: text(TEXT.originToken),
  impression_id: id(TEXT.originImpressionId),
});
const OF_ORIGIN = ORIGIN.all('surface');

/** `JSON.parse` and the contract are to decide. */
const UNUSUAL = -1;

/** Where reading is, kept between the functions below: a record is read in one go. */
let bytes: Buffer = Buffer.alloc(0);
let limit = 0;
let at = 0;

/**
 * Reads the fields that decide something straight from the bytes of a record, several times as fast as `JSON.parse` and
 * the contract (`validate.ts`), and only where there is nothing unusual to it: any escape or letter beyond ASCII, a name
 * that stands twice, anything that may break the contract. Then it says false, and these decide. What it accepts, they
 * accept, and they read the same from it; a fuzz test holds them against each other.
 *
 * @param stampedAt the record's Kafka timestamp, epoch milliseconds; Infinity where there is none to hold against
 * @param into is filled where it returns true, and of no meaning where it does not
 */
export function projectRecord(value: Buffer, stampedAt: number, into: EventFields): boolean {
  bytes = value;
  limit = value.length;
  at = 0;
  into.bytes = value;
  into.begin.fill(-1);
  into.kind = KIND_CODES.none;
  into.muted = MUTED_CODES.none;
  into.runtime = 0;
  into.hasOrigin = false;
  into.originRowRank = null;
  into.originPosition = null;
  skipSpace();
  const said = readObject(EVENT, into);
  if (said === UNUSUAL) return false;
  skipSpace();
  const required = into.isPlayback ? OF_PLAYBACK : OF_IMPRESSION;
  return at === limit && (said & required) === required && into.eventTime <= stampedAt + FUTURE_TOLERANCE_MS;
}

/** The byte at the cursor, 0 behind the end: no index is ever out of bounds, for one such makes all look-ups slow. */
function peek(): number {
  return at < limit ? bytes[at] : 0;
}

function next(): number {
  const byte = peek();
  at++;
  return byte;
}

/** Reads an object at the cursor. @returns the bits of the fields that are there and not null, or `UNUSUAL` */
function readObject(names: Names, into: EventFields): number {
  if (peek() !== OPEN) return UNUSUAL;
  at++;
  let seen = 0;
  let said = 0;
  skipSpace();
  if (peek() === CLOSE) {
    at++;
    return 0;
  }
  let last = names.first;
  for (;;) {
    const named = isNext(last.next) ? last.next : isNext(last.other) ? last.other : readName(names, last);
    if (named === undefined) return UNUSUAL;
    skipSpace();
    if (named === null) {
      if (!skipValue(0)) return UNUSUAL;
    } else {
      if ((seen & named.bit) !== 0) return UNUSUAL;
      seen |= named.bit;
      last = named;
      if (peek() === 0x6e) {
        if (!skipWord('null')) return UNUSUAL;
      } else {
        if (!readField(named.field, into)) return UNUSUAL;
        said |= named.bit;
      }
    }
    skipSpace();
    const mark = next();
    if (mark === CLOSE) return said;
    if (mark !== COMMA) return UNUSUAL;
    skipSpace();
  }
}

/** Whether this name stands at the cursor, which is then set behind it. */
function isNext(named: NamedField | null): named is NamedField {
  if (named === null) return false;
  const { quoted } = named;
  const from = bytes;
  const begin = at;
  if (begin + quoted.length > limit) return false;
  for (let i = 1; i < quoted.length; i++) if (from[begin + i] !== quoted[i]) return false;
  if (from[begin] !== QUOTE) return false;
  at = begin + quoted.length;
  return true;
}

/** Reads any name at the cursor, and its colon. @returns null where it is none of ours, undefined where it is unusual */
function readName(names: Names, after: NamedField): NamedField | null | undefined {
  const begin = at + 1;
  if (!skipText()) return undefined;
  const end = at - 1;
  skipSpace();
  if (next() !== COLON) return undefined;
  const named = names.find(bytes, begin, end);
  if (named === undefined) return null;
  after.other = after.next;
  after.next = named;
  return named;
}

function readField(field: Field, into: EventFields): boolean {
  switch (field.kind) {
    case 'text': {
      const begin = at + 1;
      if (!skipText()) return false;
      const length = at - 1 - begin;
      if (length === 0 || length > field.longest) return false;
      if (field.text === null) return true;
      into.begin[field.text] = begin;
      into.end[field.text] = at - 1;
      return true;
    }
    case 'number': {
      const value = readNumber();
      return Number.isFinite(value) && field.set(into, value);
    }
    case 'time': {
      into.eventTime = readTime();
      return into.eventTime >= 0;
    }
    case 'word': {
      const begin = at + 1;
      if (!skipText()) return false;
      for (let i = 0; i < field.words.length; i++) {
        if (!same(bytes, begin, at - 1, field.words[i])) continue;
        field.set(into, i);
        return true;
      }
      return false;
    }
    case 'bool': {
      const value = peek() === 0x74;
      field.set(into, value);
      return skipWord(value ? 'true' : 'false');
    }
    case 'context':
      return peek() === OPEN && skipValue(0);
    case 'origin': {
      const said = readObject(ORIGIN, into);
      into.hasOrigin = true;
      return said !== UNUSUAL && (said & OF_ORIGIN) !== 0;
    }
  }
}

/** @returns epoch milliseconds, -1 where it is not surely a time */
function readTime(): number {
  let time: number | null;
  if (peek() === QUOTE) {
    const begin = at + 1;
    if (!skipText()) return -1;
    time = parseIsoTime(bytes.toString('latin1', begin, at - 1));
  } else {
    time = readNumber();
  }
  return time !== null && Number.isInteger(time) && time <= MAX_TIME ? time : -1;
}

/** Reads a number at the cursor by JSON's grammar. @returns NaN where there is none */
function readNumber(): number {
  const begin = at;
  const negative = peek() === MINUS;
  if (negative) at++;
  const first = at;
  let value = 0;
  for (let byte = peek(); isDigit(byte); at++, byte = peek()) value = value * 10 + byte - ZERO;
  const digits = at - first;
  if (digits === 0 || (digits > 1 && bytes[first] === ZERO)) return NaN;
  const after = peek() | 0x20;
  if (peek() !== POINT && after !== 0x65 && digits <= 15) return negative && value !== 0 ? -value : value;
  if (peek() === POINT) {
    at++;
    if (!skipDigits()) return NaN;
  }
  if ((peek() | 0x20) === 0x65) {
    at++;
    if (peek() === MINUS || peek() === 0x2b) at++;
    if (!skipDigits()) return NaN;
  }
  const exact = Number(bytes.toString('latin1', begin, at));
  return exact === 0 ? 0 : exact;
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}

function skipDigits(): boolean {
  const begin = at;
  while (isDigit(peek())) at++;
  return at > begin;
}

/** Passes over a string of plain bytes at the cursor; false where there is none. */
function skipText(): boolean {
  const from = bytes;
  if (peek() !== QUOTE) return false;
  let end = at + 1;
  while (end < limit && PLAIN[from[end]] === 1) end++;
  at = end;
  return next() === QUOTE;
}

function skipWord(word: string): boolean {
  for (let i = 0; i < word.length; i++) if (next() !== word.charCodeAt(i)) return false;
  return true;
}

/** Passes over any value at the cursor; false where it is not surely JSON. */
function skipValue(depth: number): boolean {
  if (depth > MAX_DEPTH) return false;
  switch (peek()) {
    case QUOTE:
      return skipText();
    case OPEN:
      return skipMembers(CLOSE, depth, true);
    case OPEN_LIST:
      return skipMembers(CLOSE_LIST, depth, false);
    case 0x74:
      return skipWord('true');
    case 0x66:
      return skipWord('false');
    case 0x6e:
      return skipWord('null');
    default:
      return !Number.isNaN(readNumber());
  }
}

function skipMembers(close: number, depth: number, named: boolean): boolean {
  at++;
  skipSpace();
  if (peek() === close) {
    at++;
    return true;
  }
  for (;;) {
    if (named) {
      if (!skipText()) return false;
      skipSpace();
      if (next() !== COLON) return false;
      skipSpace();
    }
    if (!skipValue(depth + 1)) return false;
    skipSpace();
    const mark = next();
    if (mark === close) return true;
    if (mark !== COMMA) return false;
    skipSpace();
  }
}

/** JSON's own white space. */
function skipSpace(): void {
  for (;;) {
    const byte = peek();
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
    at++;
  }
}
