import { ORIGIN_CODES, type KeyFacts } from '../derive.ts';
import { MAX_ID, MAX_TEXT } from '../events.ts';
import { type ByteReader, type ByteWriter, emptyBytes } from './bytes.ts';
import { TEXT, type EventFields, type Text } from './event-fields.ts';
import type { Interner } from './interner.ts';

/**
 * What a fact keeps of its event beside time and key, as bytes. Fields that decide nothing (`page_view_id`, `context`,
 * `position_ms`, `profile_type`, an impression's country, device and title) are not held.
 *
 *     impression: rank, position, place, token
 *     playback:   playback_id, action | kind | muted, runtime, title, country, device, origin?
 *     origin:     flags, place, rank?, position?, token, impression_id
 */

/** Strings that recur: places are a row (or none) on a surface, labels countries, devices and titles. */
export interface Dictionaries {
  places: Interner;
  labels: Interner;
}

/** The contract allows no NUL in a text, and no empty one. */
const SEPARATOR = '\0';

export interface Place {
  surface: string;
  rowType: string | null;
  rowId: string | null;
}

/** As a place stands in the dictionary: a row type (or none), a surface, and a row id (or none). */
export function joinPlace({ surface, rowType, rowId }: Place): string {
  return (rowType ?? '') + SEPARATOR + surface + SEPARATOR + (rowId ?? '');
}

export function splitPlace(place: string): Place {
  const cut = place.indexOf(SEPARATOR);
  const end = place.indexOf(SEPARATOR, cut + 1);
  return {
    surface: place.slice(cut + 1, end),
    rowType: cut === 0 ? null : place.slice(0, cut),
    rowId: end + 1 === place.length ? null : place.slice(end + 1),
  };
}

/** Writes an event's bytes and counts the uses of its dictionary strings. */
export function writePayload(writer: ByteWriter, fields: EventFields, dictionaries: Dictionaries): void {
  if (fields.isPlayback) writePlayback(writer, fields, dictionaries);
  else writeImpression(writer, fields, dictionaries);
}

function writeImpression(writer: ByteWriter, fields: EventFields, { places }: Dictionaries): void {
  writer.signed(fields.rowRank);
  writer.signed(fields.position);
  writer.varint(acquirePlace(places, fields, TEXT.surface, TEXT.rowType, TEXT.rowId));
  writeText(writer, fields, TEXT.token);
}

function writePlayback(writer: ByteWriter, fields: EventFields, dictionaries: Dictionaries): void {
  writeText(writer, fields, TEXT.playbackId);
  writer.byte(fields.action | (fields.kind << 3) | (fields.muted << 5));
  writer.double(fields.runtime);
  for (const text of LABELS) {
    writer.varint(dictionaries.labels.acquireBytes(fields, fields.begin[text], fields.end[text]));
  }
  writeOrigin(writer, fields, dictionaries);
}

const LABELS = [TEXT.titleId, TEXT.country, TEXT.deviceType] as const;

function writeOrigin(writer: ByteWriter, fields: EventFields, { places }: Dictionaries): void {
  if (!fields.hasOrigin) {
    writer.byte(ORIGIN_CODES.none);
    return;
  }
  const { begin, originRowRank, originPosition } = fields;
  const names =
    begin[TEXT.originImpressionId] >= 0
      ? ORIGIN_CODES.byId
      : begin[TEXT.originToken] >= 0
        ? ORIGIN_CODES.byToken
        : ORIGIN_CODES.claim;
  writer.byte(names | (originRowRank === null ? 0 : 4) | (originPosition === null ? 0 : 8));
  writer.varint(acquirePlace(places, fields, TEXT.originSurface, TEXT.originRowType, TEXT.originRowId));
  if (originRowRank !== null) writer.signed(originRowRank);
  if (originPosition !== null) writer.signed(originPosition);
  writeText(writer, fields, TEXT.originToken);
  writeText(writer, fields, TEXT.originImpressionId);
}

function writeText(writer: ByteWriter, fields: EventFields, text: Text): void {
  writer.span(fields.bytes, fields.begin[text], fields.end[text]);
}

/** The number of a place: what `joinPlace` joins, as bytes. */
function acquirePlace(places: Interner, fields: EventFields, surface: Text, rowType: Text, rowId: Text): number {
  let length = copyText(fields, rowType, 0);
  placeBytes[length++] = SEPARATOR_BYTE;
  length = copyText(fields, surface, length);
  placeBytes[length++] = SEPARATOR_BYTE;
  length = copyText(fields, rowId, length);
  return places.acquireBytes(PLACE, 0, length);
}

/** Copies a text into `placeBytes`. @returns where it ends there */
function copyText({ bytes, begin, end }: EventFields, text: Text, at: number): number {
  let length = at;
  if (begin[text] >= 0) for (let i = begin[text]; i < end[text]; i++) placeBytes[length++] = bytes[i];
  return length;
}

const SEPARATOR_BYTE = SEPARATOR.charCodeAt(0);
/** Room for two ids and a text of the contract. */
const PLACE = emptyBytes(3 * (2 * MAX_ID + MAX_TEXT) + 2);
const placeBytes = PLACE.bytes;

/** Gives each dictionary string that the payload at the reader uses, as often as it does. */
export function eachString(
  reader: ByteReader,
  isPlayback: boolean,
  visit: (dictionary: keyof Dictionaries, number: number) => void,
): void {
  if (!isPlayback) {
    reader.varint();
    reader.varint();
    visit('places', reader.varint());
    return;
  }
  reader.skipText();
  reader.at += 9;
  for (let i = 0; i < 3; i++) visit('labels', reader.varint());
  if (reader.byte() !== ORIGIN_CODES.none) visit('places', reader.varint());
}

export interface ImpressionPayload {
  rowRank: number;
  position: number;
  place: number;
  token: string | null;
}

export function readImpression(reader: ByteReader): ImpressionPayload {
  return {
    rowRank: reader.signed(),
    position: reader.signed(),
    place: reader.varint(),
    token: reader.text(),
  };
}

export interface PlaybackPayload {
  playbackId: string;
  /** Index in `ACTIONS`. */
  action: number;
  kind: number;
  muted: number;
  runtime: number;
  title: number;
  country: number;
  device: number;
  origin: OriginPayload | null;
}

export interface OriginPayload {
  /** `ORIGIN_CODES` */
  names: number;
  place: number;
  rowRank: number | null;
  position: number | null;
  token: string | null;
  impressionId: string | null;
}

export function readPlayback(reader: ByteReader): PlaybackPayload {
  const playbackId = reader.text() ?? '';
  const flags = reader.byte();
  return {
    playbackId,
    action: flags & 7,
    kind: (flags >> 3) & 3,
    muted: flags >> 5,
    runtime: reader.double(),
    title: reader.varint(),
    country: reader.varint(),
    device: reader.varint(),
    origin: readOrigin(reader),
  };
}

/**
 * Reads what decides of a playback event, after its playback id, straight into columns. @returns its origin
 */
export function readPlaybackInto(
  reader: ByteReader,
  columns: Pick<KeyFacts['playbacks'], 'action' | 'kind' | 'muted' | 'runtime'>,
  index: number,
): OriginPayload | null {
  const flags = reader.byte();
  columns.action[index] = flags & 7;
  columns.kind[index] = (flags >> 3) & 3;
  columns.muted[index] = flags >> 5;
  columns.runtime[index] = reader.double();
  for (let skipped = 0; skipped < 3; skipped++) reader.varint();
  return readOrigin(reader);
}

function readOrigin(reader: ByteReader): OriginPayload | null {
  const flags = reader.byte();
  if (flags === ORIGIN_CODES.none) return null;
  return {
    names: flags & 3,
    place: reader.varint(),
    rowRank: (flags & 4) === 0 ? null : reader.signed(),
    position: (flags & 8) === 0 ? null : reader.signed(),
    token: reader.text(),
    impressionId: reader.text(),
  };
}
