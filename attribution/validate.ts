import { isUtf8 } from 'node:buffer';
import {
  ACTIONS,
  KINDS,
  MAX_ID,
  MAX_TEXT,
  PROFILE_TYPES,
  type Event,
  type Impression,
  type Origin,
  type Playback,
  type ProfileType,
} from './events.ts';
import { MAX_TIME, MINUTE, parseIsoTime } from './time.ts';

/** An event may be dated this much after its Kafka timestamp (a client's clock that is ahead), no more. */
export const FUTURE_TOLERANCE_MS = 5 * MINUTE;

export const MAX_INT32 = 2 ** 31 - 1;
/** What writes JSON, or reads it elsewhere, does so by recursion: a deeper context could be read but not be kept. */
const MAX_CONTEXT_DEPTH = 100;

export const REJECTION_REASONS = [
  'not_json',
  'not_an_object',
  'missing_field',
  'wrong_type',
  'bad_value',
  'in_the_future',
] as const;
export type RejectionReason = (typeof REJECTION_REASONS)[number];

/** Why a record is no event: it is kept as a dead letter with this. */
export interface Rejection {
  reason: RejectionReason;
  /** The field as a path (`origin.surface`), null where the record as a whole is wrong. */
  field: string | null;
  /** What was there and what was expected, in words. */
  message: string;
  /** The record's event time in epoch milliseconds where that can be read, else null. */
  eventTime: number | null;
}

export type Validation = { ok: true; event: Event } | { ok: false; rejection: Rejection };

type Fields = Record<string, unknown>;

/** Thrown and caught within this module only: the rare way out of a deep check. No `Error`, whose trace takes longer. */
class Invalid {
  constructor(
    readonly reason: RejectionReason,
    readonly field: string | null,
    readonly message: string,
  ) {}
}

/**
 * Reads the value of a Kafka record.
 *
 * @param text the record's value; null for a tombstone
 * @param stampedAt the record's Kafka timestamp, epoch milliseconds; Infinity where there is none to hold against
 */
export function parseEvent(text: string | null, stampedAt: number): Validation {
  let value: unknown;
  try {
    value = JSON.parse(text ?? '');
  } catch (error) {
    const message =
      text === null || text === ''
        ? 'the record is empty, expected a JSON object'
        : `not JSON: ${error instanceof Error ? error.message : String(error)}`;
    return rejected(new Invalid('not_json', null, message), null);
  }
  return validateEvent(value, stampedAt);
}

/** `parseEvent` for the bytes of a record: JSON is UTF-8, and what is not is no JSON. */
export function parseRecord(value: Buffer | null, stampedAt: number): Validation {
  if (value !== null && !isUtf8(value)) {
    return rejected(new Invalid('not_json', null, 'the record is not UTF-8, expected a JSON object'), null);
  }
  return parseEvent(value === null ? null : value.toString('utf8'), stampedAt);
}

/** Checks a parsed value against the contract; unknown extra fields are allowed. Never throws. */
export function validateEvent(value: unknown, stampedAt: number): Validation {
  try {
    return { ok: true, event: readEvent(value, stampedAt) };
  } catch (error) {
    if (error instanceof Invalid) return rejected(error, value);
    throw error;
  }
}

function rejected(why: Invalid, value: unknown): Validation {
  const time = isFields(value) ? timeOf(value.event_time) : null;
  return {
    ok: false,
    rejection: { reason: why.reason, field: why.field, message: storable(why.message), eventTime: time },
  };
}

function readEvent(value: unknown, stampedAt: number): Event {
  if (!isFields(value)) {
    throw new Invalid('not_an_object', null, `found ${found(value)}, expected a JSON object`);
  }
  const type = value.type;
  if (type === 'impression') return readImpression(value, stampedAt);
  if (type === 'playback') return readPlayback(value, stampedAt);
  throw unlike(value, 'type', 'type', '"impression" or "playback"', typeof type === 'string');
}

function readImpression(value: Fields, stampedAt: number): Impression {
  return {
    type: 'impression',
    event_id: id(value, 'event_id'),
    event_time: time(value, stampedAt),
    profile_id: id(value, 'profile_id'),
    country: id(value, 'country'),
    device_type: id(value, 'device_type'),
    page_view_id: id(value, 'page_view_id'),
    page: id(value, 'page'),
    row_type: id(value, 'row_type'),
    row_id: text(value, 'row_id'),
    row_rank: int32(value, 'row_rank'),
    position: int32(value, 'position'),
    title_id: id(value, 'title_id'),
    series_id: optional(value, 'series_id', id),
    token: optional(value, 'token', text),
    profile_type: profileType(value),
    context: readContext(value),
  };
}

/** The object itself, not a copy: whoever keeps it writes it down. */
function readContext(value: Fields): Fields | null {
  if (!says(value, 'context')) return null;
  const context = value.context;
  if (!isFields(context)) throw unlike(value, 'context', 'context', 'an object');
  if (nestsDeeper(context, MAX_CONTEXT_DEPTH)) {
    throw new Invalid('bad_value', 'context', `context nests deeper than ${MAX_CONTEXT_DEPTH} levels`);
  }
  return context;
}

function nestsDeeper(value: object, levels: number): boolean {
  if (levels === 0) return true;
  for (const name in value) {
    const field = (value as Fields)[name];
    if (typeof field === 'object' && field !== null && nestsDeeper(field, levels - 1)) return true;
  }
  return false;
}

function readPlayback(value: Fields, stampedAt: number): Playback {
  return {
    type: 'playback',
    action: oneOf(value, 'action', ACTIONS),
    event_id: id(value, 'event_id'),
    event_time: time(value, stampedAt),
    profile_id: id(value, 'profile_id'),
    country: id(value, 'country'),
    device_type: id(value, 'device_type'),
    playback_id: id(value, 'playback_id'),
    title_id: id(value, 'title_id'),
    series_id: optional(value, 'series_id', id),
    kind: says(value, 'kind') ? oneOf(value, 'kind', KINDS) : null,
    muted_autoplay: optional(value, 'muted_autoplay', bool),
    position_ms: optional(value, 'position_ms', finite),
    runtime_ms: optional(value, 'runtime_ms', finite),
    profile_type: profileType(value),
    origin: readOrigin(value),
  };
}

function readOrigin(value: Fields): Origin | null {
  if (!says(value, 'origin')) return null;
  const origin = value.origin;
  if (!isFields(origin)) throw unlike(value, 'origin', 'origin', 'an object');
  return {
    surface: id(origin, 'surface', 'origin.surface'),
    row_type: optional(origin, 'row_type', id, 'origin.row_type'),
    row_id: optional(origin, 'row_id', text, 'origin.row_id'),
    row_rank: optional(origin, 'row_rank', int32, 'origin.row_rank'),
    position: optional(origin, 'position', int32, 'origin.position'),
    token: optional(origin, 'token', text, 'origin.token'),
    impression_id: optional(origin, 'impression_id', id, 'origin.impression_id'),
  };
}

/** Whether an optional field says anything: null says nothing. */
function says(value: Fields, field: string): boolean {
  return value[field] !== undefined && value[field] !== null;
}

function optional<T>(
  value: Fields,
  field: string,
  read: (value: Fields, field: string, path: string) => T,
  path: string = field,
): T | null {
  return says(value, field) ? read(value, field, path) : null;
}

function id(value: Fields, field: string, path: string = field): string {
  return string(value, field, path, MAX_ID);
}

function text(value: Fields, field: string, path: string = field): string {
  return string(value, field, path, MAX_TEXT);
}

/** A text that Postgres and UTF-8 can hold. */
function string(value: Fields, field: string, path: string, longest: number): string {
  const read = value[field];
  if (typeof read !== 'string') throw unlike(value, field, path, 'a string');
  if (read.length === 0) throw unlike(value, field, path, 'a string that is not empty', true);
  if (read.length > longest) {
    throw new Invalid('bad_value', path, `${path} has ${read.length} characters, expected at most ${longest}`);
  }
  if (read.includes('\0') || !read.isWellFormed()) {
    throw unlike(value, field, path, 'a string without NUL characters and lone surrogates', true);
  }
  return read;
}

function time(value: Fields, stampedAt: number): number {
  const read = value.event_time;
  const at = timeOf(read);
  if (at === null) {
    const expected = 'epoch milliseconds (an integer from 0) or an ISO-8601 time with an offset';
    throw unlike(value, 'event_time', 'event_time', expected, typeof read === 'string' || typeof read === 'number');
  }
  if (at > stampedAt + FUTURE_TOLERANCE_MS) {
    const ahead = Math.ceil((at - stampedAt) / 1000);
    throw new Invalid(
      'in_the_future',
      'event_time',
      `event_time ${found(read)} is ${ahead} s after the record's Kafka timestamp, expected at most ` +
        `${FUTURE_TOLERANCE_MS / 1000} s`,
    );
  }
  return at;
}

function timeOf(read: unknown): number | null {
  const at = typeof read === 'string' ? parseIsoTime(read) : read;
  return typeof at === 'number' && Number.isInteger(at) && at >= 0 && at <= MAX_TIME ? withoutNegativeZero(at) : null;
}

function finite(value: Fields, field: string, path: string = field): number {
  const read = value[field];
  if (typeof read !== 'number' || !Number.isFinite(read)) {
    throw unlike(value, field, path, 'a number', typeof read === 'number');
  }
  return withoutNegativeZero(read);
}

function int32(value: Fields, field: string, path: string = field): number {
  const read = value[field];
  const fits = typeof read === 'number' && Number.isInteger(read) && Math.abs(read) <= MAX_INT32;
  if (!fits) throw unlike(value, field, path, 'an integer of 32 bits', typeof read === 'number');
  return withoutNegativeZero(read);
}

/** JSON knows a -0; nothing of ours should. */
function withoutNegativeZero(read: number): number {
  return read === 0 ? 0 : read;
}

function bool(value: Fields, field: string, path: string = field): boolean {
  const read = value[field];
  if (typeof read !== 'boolean') throw unlike(value, field, path, 'true or false');
  return read;
}

function oneOf<T extends string>(value: Fields, field: string, allowed: readonly T[]): T {
  const read = value[field];
  const match = allowed.find((candidate) => candidate === read);
  if (match === undefined) throw unlike(value, field, field, `one of ${allowed.join(', ')}`, typeof read === 'string');
  return match;
}

function profileType(value: Fields): ProfileType | null {
  return says(value, 'profile_type') ? oneOf(value, 'profile_type', PROFILE_TYPES) : null;
}

/** @param rightType the value has the right JSON type and is wrong all the same */
function unlike(value: Fields, field: string, path: string, expected: string, rightType = false): Invalid {
  const read = value[field];
  if (read === undefined) return new Invalid('missing_field', path, `${path} is missing, expected ${expected}`);
  return new Invalid(rightType ? 'bad_value' : 'wrong_type', path, `${path} is ${found(read)}, expected ${expected}`);
}

/** A value as it can be quoted in a message: short, on one line. */
function found(value: unknown): string {
  const quote = quoted(value, 2);
  return quote.length > LONGEST_QUOTE ? `${quote.slice(0, LONGEST_QUOTE)}…` : quote;
}

const LONGEST_QUOTE = 80;

/** JSON as far as a quote goes: what nests deeper (deeper than the stack, even) or is longer is left out. */
function quoted(value: unknown, depth: number): string {
  // What JSON writes as 1e999 is read as Infinity, for which it has no word.
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? String(value);
  if (Array.isArray(value)) {
    if (depth === 0) return '[…]';
    return `[${value
      .slice(0, LONGEST_QUOTE)
      .map((element: unknown) => quoted(element, depth - 1))
      .join()}]`;
  }
  if (depth === 0) return '{…}';
  const entries = Object.entries(value).slice(0, LONGEST_QUOTE);
  return `{${entries.map(([name, field]) => `${JSON.stringify(name)}:${quoted(field, depth - 1)}`).join()}}`;
}

/** Cutting a text, or a parser that quotes its input, can leave what no database stores. */
function storable(message: string): string {
  return message.toWellFormed().replaceAll('\0', '\\u0000');
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
