import { KIND_CODES, MUTED_CODES } from './derive.ts';
import { ACTIONS, KINDS, MAX_ID, MAX_TEXT, PROFILE_TYPES } from './events.ts';
import { hashOf } from './facts/bytes.ts';
import { TEXT, type EventFields, type Text } from './facts/event-fields.ts';
import {
  ASCII,
  CLOSE,
  COLON,
  COMMA,
  Expected,
  FALSE,
  JsonCursor,
  N,
  NULL,
  OPEN,
  QUOTE,
  TRUE,
  UTF8,
} from './json-cursor.ts';
import { MAX_TIME, parseIsoTime, plainIsoTime } from './time.ts';
import { FUTURE_TOLERANCE_MS, MAX_INT32 } from './validate.ts';

/** Where a record's value stands. */
export interface RecordBytes {
  readonly bytes: Buffer;
  /** Of the same bytes. */
  readonly view: DataView;
  readonly begin: number;
  readonly end: number;
}

/** What a field's value is to be. */
const TEXT_FIELD = 0;
const NUMBER = 1;
const TIME = 2;
const WORD = 3;
const BOOL = 4;
const CONTEXT = 5;
const ORIGIN_FIELD = 6;

/** What a field's value is to be, and what becomes of it: one shape for all kinds, so that its parts are found at once. */
interface Field {
  kind: number;
  /** Of a text: how many bytes, and where it goes; -1 where it is not kept. */
  longest: number;
  text: number;
  /** Of a word: those that it may be. */
  words: readonly Expected[];
  /** Takes the number, the index of the word, 1 for true and 0 for false. @returns whether it may be that */
  set: (fields: EventFields, value: number) => boolean;
}

/** A class: fields of objects that are made by spreading are not found as fast. */
class NamedField {
  readonly name: Uint8Array;
  /** The name as producers write it: in quotes, with its colon. */
  readonly quoted: Expected;
  /** One bit. */
  readonly bit: number;
  readonly kind: number;
  readonly longest: number;
  readonly text: number;
  readonly words: readonly Expected[];
  readonly set: Field['set'];
  /** What came after it in records before: producers write their fields in one order, some of them not always. */
  next: NamedField | null = null;
  other: NamedField | null = null;

  constructor(name: string, index: number, { kind, longest, text, words, set }: Field) {
    this.name = Buffer.from(name, 'latin1');
    this.quoted = new Expected(`"${name}":`);
    this.bit = 1 << index;
    this.kind = kind;
    this.longest = longest;
    this.text = text;
    this.words = words;
    this.set = set;
  }
}

const field = (kind: number, parts: Partial<Field> = {}): Field => ({
  kind,
  longest: 0,
  text: -1,
  words: [],
  set: () => true,
  ...parts,
});
const id = (place: Text | -1): Field => field(TEXT_FIELD, { longest: MAX_ID, text: place });
const text = (place: Text): Field => field(TEXT_FIELD, { longest: MAX_TEXT, text: place });
const int32 = (set: (fields: EventFields, value: number) => void): Field =>
  field(NUMBER, {
    set(fields, value) {
      set(fields, value);
      return Number.isInteger(value) && Math.abs(value) <= MAX_INT32;
    },
  });
const word = (words: readonly string[], set: (fields: EventFields, index: number) => void): Field =>
  field(WORD, {
    words: words.map((each) => new Expected(`"${each}"`)),
    set(fields, index) {
      set(fields, index);
      return true;
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
    const named = Object.entries(fields).map(([name, each], index) => new NamedField(name, index, each));
    this.first = new NamedField('none', 0, field(NUMBER));
    this.first.next = named[0];
    this.#bits = Object.fromEntries(Object.keys(fields).map((name, index) => [name, named[index].bit]));
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

const TYPES = ['impression', 'playback'];
const IMPRESSION = 0;

const EVENT = new Names({
  type: word(TYPES, (fields, index) => (fields.isPlayback = index !== IMPRESSION)),
  event_id: id(TEXT.eventId),
  event_time: field(TIME),
  profile_id: id(TEXT.profileId),
  country: id(TEXT.country),
  device_type: id(TEXT.deviceType),
  title_id: id(TEXT.titleId),
  series_id: id(TEXT.seriesId),
  profile_type: word(PROFILE_TYPES, () => {}),
  page_view_id: id(-1),
  page: id(TEXT.surface),
  row_type: id(TEXT.rowType),
  row_id: text(TEXT.rowId),
  row_rank: int32((fields, value) => (fields.rowRank = value)),
  position: int32((fields, value) => (fields.position = value)),
  token: text(TEXT.token),
  context: field(CONTEXT),
  action: word(ACTIONS, (fields, index) => (fields.action = index)),
  playback_id: id(TEXT.playbackId),
  kind: word(KINDS, (fields, index) => (fields.kind = KIND_CODES[KINDS[index]])),
  muted_autoplay: field(BOOL, {
    set(fields, value) {
      fields.muted = value === 1 ? MUTED_CODES.yes : MUTED_CODES.no;
      return true;
    },
  }),
  position_ms: field(NUMBER),
  runtime_ms: field(NUMBER, {
    set(fields, value) {
      fields.runtime = value;
      return true;
    },
  }),
  origin: field(ORIGIN_FIELD),
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

/** A record is read in one go. */
const cursor = new JsonCursor();

/**
 * Reads the fields that decide something straight from the bytes of a record, in less time than `JSON.parse` alone and
 * without making strings and objects, and only where there is nothing unusual to it: an escape in a field that is read, a
 * name that stands twice, anything that may break the contract. Then it says false, and `JSON.parse` and the contract
 * (`validate.ts`) decide. What it accepts, they accept, and they read the same from it; a fuzz test holds them against each
 * other.
 *
 * @param stampedAt the record's Kafka timestamp, epoch milliseconds; Infinity where there is none to hold against
 * @param into is filled where it returns true, and of no meaning where it does not
 */
export function projectRecord(value: RecordBytes, stampedAt: number, into: EventFields): boolean {
  cursor.open(value.bytes, value.view, value.begin, value.end);
  into.bytes = value.bytes;
  into.view = value.view;
  const { begin } = into;
  for (let i = 0; i < begin.length; i++) begin[i] = -1;
  into.kind = KIND_CODES.none;
  into.muted = MUTED_CODES.none;
  into.runtime = 0;
  into.hasOrigin = false;
  into.originRowRank = null;
  into.originPosition = null;
  cursor.skipSpace();
  const said = readObject(EVENT, into);
  if (said === UNUSUAL) return false;
  cursor.skipSpace();
  const required = into.isPlayback ? OF_PLAYBACK : OF_IMPRESSION;
  return cursor.atEnd && (said & required) === required && into.eventTime <= stampedAt + FUTURE_TOLERANCE_MS;
}

/** Reads an object at the cursor. @returns the bits of the fields that are there and not null, or `UNUSUAL` */
function readObject(names: Names, into: EventFields): number {
  if (cursor.peek() !== OPEN) return UNUSUAL;
  cursor.at++;
  let seen = 0;
  let said = 0;
  cursor.skipSpace();
  if (cursor.peek() === CLOSE) {
    cursor.at++;
    return 0;
  }
  let last = names.first;
  for (;;) {
    const named = isNext(last.next) ? last.next : isNext(last.other) ? last.other : readName(names, last);
    if (named === undefined) return UNUSUAL;
    cursor.skipSpace();
    if (named === null) {
      if (!cursor.skipValue(0)) return UNUSUAL;
    } else {
      if ((seen & named.bit) !== 0) return UNUSUAL;
      seen |= named.bit;
      last = named;
      // No other value that a field may have begins with an n.
      if (cursor.peek() !== N) {
        if (!readField(named, into)) return UNUSUAL;
        said |= named.bit;
      } else if (!cursor.skipBytes(NULL)) {
        return UNUSUAL;
      }
    }
    cursor.skipSpace();
    const mark = cursor.next();
    if (mark === CLOSE) return said;
    if (mark !== COMMA) return UNUSUAL;
    cursor.skipSpace();
  }
}

/** Whether this name stands at the cursor, which is then set behind it. */
function isNext(named: NamedField | null): named is NamedField {
  return named !== null && cursor.skipBytes(named.quoted);
}

/** Reads any name at the cursor, and its colon. @returns null where it is none of ours, undefined where it is unusual */
function readName(names: Names, after: NamedField): NamedField | null | undefined {
  const begin = cursor.at + 1;
  if (!cursor.skipText(ASCII)) return undefined;
  const end = cursor.at - 1;
  cursor.skipSpace();
  if (cursor.next() !== COLON) return undefined;
  const named = names.find(cursor.bytes, begin, end);
  if (named === undefined) return null;
  after.other = after.next;
  after.next = named;
  return named;
}

function readField(of: NamedField, into: EventFields): boolean {
  switch (of.kind) {
    case TEXT_FIELD: {
      const begin = cursor.at + 1;
      if (!cursor.skipText(UTF8)) return false;
      // In UTF-8 a text has as many bytes as code units, or more: one that is too long so may not be.
      const length = cursor.at - 1 - begin;
      if (length === 0 || length > of.longest) return false;
      if (of.text < 0) return true;
      into.begin[of.text] = begin;
      into.end[of.text] = cursor.at - 1;
      return true;
    }
    case NUMBER: {
      const value = cursor.readNumber();
      return Number.isFinite(value) && of.set(into, value);
    }
    case TIME: {
      into.eventTime = readTime();
      return into.eventTime >= 0;
    }
    case WORD: {
      const { words } = of;
      let index = 0;
      while (index < words.length && !cursor.skipBytes(words[index])) index++;
      return index < words.length && of.set(into, index);
    }
    case BOOL:
      if (cursor.skipBytes(TRUE)) return of.set(into, 1);
      return cursor.skipBytes(FALSE) && of.set(into, 0);
    case CONTEXT:
      return cursor.peek() === OPEN && cursor.skipValue(0);
    default: {
      const said = readObject(ORIGIN, into);
      into.hasOrigin = true;
      return said !== UNUSUAL && (said & OF_ORIGIN) !== 0;
    }
  }
}

/** @returns epoch milliseconds, -1 where it is not surely a time */
function readTime(): number {
  let time: number | null;
  if (cursor.peek() === QUOTE) {
    const begin = cursor.at + 1;
    if (!cursor.skipText(ASCII)) return -1;
    const end = cursor.at - 1;
    time = plainIsoTime(cursor.bytes, begin, end) ?? parseIsoTime(cursor.bytes.toString('latin1', begin, end));
  } else {
    time = cursor.readNumber();
  }
  return time !== null && Number.isInteger(time) && time <= MAX_TIME ? time : -1;
}
