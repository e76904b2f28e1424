import { KIND_CODES, MUTED_CODES, ORIGIN_CODES, type KeyFacts } from '../derive.ts';
import { ACTIONS, type Event, type Impression, type Origin, type Playback } from '../events.ts';
import type { ByteReader, ByteWriter } from './bytes.ts';
import type { Interner } from './interner.ts';

/**
 * What a fact keeps of its event beside time and key, as bytes. Fields that decide nothing (`page_view_id`, `context`,
 * `position_ms`, `profile_type`, an impression's country, device and title) are not held.
 *
 *     impression: rank, position, place, row_id, token
 *     playback:   playback_id, action | kind | muted, runtime, title, country, device, origin?
 *     origin:     place, row_id, rank?, position?, token, impression_id
 */

/** Strings that recur: places are a row type on a surface, labels countries, devices and titles. */
export interface Dictionaries {
  places: Interner;
  labels: Interner;
}

/** The contract allows no NUL in a text, and no empty one. */
const SEPARATOR = '\0';

/** A row type (or none) on a surface, as one string. */
export function placeOf(surface: string, rowType: string | null): string {
  return `${rowType ?? ''}${SEPARATOR}${surface}`;
}

export function splitPlace(place: string): { surface: string; rowType: string | null } {
  const cut = place.indexOf(SEPARATOR);
  return { surface: place.slice(cut + 1), rowType: cut === 0 ? null : place.slice(0, cut) };
}

/** Writes an event's bytes and counts the uses of its dictionary strings. */
export function writePayload(writer: ByteWriter, event: Event, dictionaries: Dictionaries): void {
  if (event.type === 'impression') writeImpression(writer, event, dictionaries);
  else writePlayback(writer, event, dictionaries);
}

function writeImpression(writer: ByteWriter, event: Impression, dictionaries: Dictionaries): void {
  writer.signed(event.row_rank);
  writer.signed(event.position);
  writer.varint(dictionaries.places.acquire(placeOf(event.page, event.row_type)));
  writer.text(event.row_id);
  writer.text(event.token);
}

function writePlayback(writer: ByteWriter, event: Playback, dictionaries: Dictionaries): void {
  const { labels } = dictionaries;
  const kind = event.kind === null ? KIND_CODES.none : KIND_CODES[event.kind];
  const muted =
    event.muted_autoplay === null ? MUTED_CODES.none : event.muted_autoplay ? MUTED_CODES.yes : MUTED_CODES.no;
  writer.text(event.playback_id);
  writer.byte(ACTIONS.indexOf(event.action) | (kind << 3) | (muted << 5));
  writer.double(event.runtime_ms ?? 0);
  writer.varint(labels.acquire(event.title_id));
  writer.varint(labels.acquire(event.country));
  writer.varint(labels.acquire(event.device_type));
  writeOrigin(writer, event.origin, dictionaries);
}

function writeOrigin(writer: ByteWriter, origin: Origin | null, dictionaries: Dictionaries): void {
  if (origin === null) {
    writer.byte(ORIGIN_CODES.none);
    return;
  }
  const names =
    origin.impression_id !== null
      ? ORIGIN_CODES.byId
      : origin.token !== null
        ? ORIGIN_CODES.byToken
        : ORIGIN_CODES.claim;
  writer.byte(names | (origin.row_rank === null ? 0 : 4) | (origin.position === null ? 0 : 8));
  writer.varint(dictionaries.places.acquire(placeOf(origin.surface, origin.row_type)));
  writer.text(origin.row_id);
  if (origin.row_rank !== null) writer.signed(origin.row_rank);
  if (origin.position !== null) writer.signed(origin.position);
  writer.text(origin.token);
  writer.text(origin.impression_id);
}

/** Takes back the uses of dictionary strings that `writePayload` counted. */
export function releasePayload(reader: ByteReader, isPlayback: boolean, dictionaries: Dictionaries): void {
  if (!isPlayback) {
    reader.varint();
    reader.varint();
    dictionaries.places.release(reader.varint());
    return;
  }
  reader.skipText();
  reader.at += 9;
  for (let i = 0; i < 3; i++) dictionaries.labels.release(reader.varint());
  if (reader.byte() !== ORIGIN_CODES.none) dictionaries.places.release(reader.varint());
}

export interface ImpressionPayload {
  rowRank: number;
  position: number;
  place: number;
  rowId: string;
  token: string | null;
}

export function readImpression(reader: ByteReader): ImpressionPayload {
  return {
    rowRank: reader.signed(),
    position: reader.signed(),
    place: reader.varint(),
    rowId: reader.text() ?? '',
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
  rowId: string | null;
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
    rowId: reader.text(),
    rowRank: (flags & 4) === 0 ? null : reader.signed(),
    position: (flags & 8) === 0 ? null : reader.signed(),
    token: reader.text(),
    impressionId: reader.text(),
  };
}
