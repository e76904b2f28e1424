import type { Event } from '../attribution/events.ts';

/** What may be the type of a column: plain types of DuckDB, each with one way to append a value. */
export type ColumnType = 'VARCHAR' | 'BIGINT' | 'INTEGER' | 'DOUBLE' | 'BOOLEAN';
export type ColumnValue = string | number | boolean | null;

interface StoredColumn {
  name: string;
  type: ColumnType;
}

const texts = (...names: string[]): StoredColumn[] => names.map((name) => ({ name, type: 'VARCHAR' }));
const integers = (...names: string[]): StoredColumn[] => names.map((name) => ({ name, type: 'INTEGER' }));

/** What is taken from a record, in the order of `valuesOf`. */
export const STORED_COLUMNS: readonly StoredColumn[] = [
  { name: 'offset', type: 'BIGINT' },
  { name: 'kafka_timestamp', type: 'BIGINT' },
  { name: 'event_time', type: 'BIGINT' },
  ...texts('type', 'event_id', 'profile_id', 'title_id', 'series_id', 'country', 'device_type', 'profile_type'),
  ...texts('page_view_id', 'page', 'row_type', 'row_id'),
  ...integers('row_rank', 'position'),
  ...texts('token', 'context'),
  ...texts('action', 'playback_id', 'kind'),
  { name: 'muted_autoplay', type: 'BOOLEAN' },
  { name: 'position_ms', type: 'DOUBLE' },
  { name: 'runtime_ms', type: 'DOUBLE' },
  ...texts('origin_surface', 'origin_row_type', 'origin_row_id'),
  ...integers('origin_row_rank', 'origin_position'),
  ...texts('origin_token', 'origin_impression_id'),
];

/** The columns of a type of event that the other has not. */
const NO_PLAYBACK: readonly null[] = Array.from({ length: 13 }, () => null);
const NO_IMPRESSION: readonly null[] = Array.from({ length: 8 }, () => null);
const NO_ORIGIN: readonly null[] = Array.from({ length: 7 }, () => null);

/** A valid record of the log. */
export interface ArchivedRecord {
  offset: number;
  /** The record's Kafka timestamp, epoch milliseconds. */
  stampedAt: number;
  event: Event;
}

/** The values of `STORED_COLUMNS`. An event's `context` becomes JSON text. */
export function valuesOf({ offset, stampedAt, event }: ArchivedRecord): ColumnValue[] {
  const common = [
    offset,
    stampedAt,
    event.event_time,
    event.type,
    event.event_id,
    event.profile_id,
    event.title_id,
    event.series_id,
    event.country,
    event.device_type,
    event.profile_type,
  ];
  if (event.type === 'impression') {
    return [
      ...common,
      event.page_view_id,
      event.page,
      event.row_type,
      event.row_id,
      event.row_rank,
      event.position,
      event.token,
      event.context === null ? null : JSON.stringify(event.context),
      ...NO_PLAYBACK,
    ];
  }
  const { origin } = event;
  return [
    ...common,
    ...NO_IMPRESSION,
    event.action,
    event.playback_id,
    event.kind,
    event.muted_autoplay,
    event.position_ms,
    event.runtime_ms,
    ...(origin === null
      ? NO_ORIGIN
      : [
          origin.surface,
          origin.row_type,
          origin.row_id,
          origin.row_rank,
          origin.position,
          origin.token,
          origin.impression_id,
        ]),
  ];
}

/** Milliseconds of a day, as SQL has it. */
const DAY_MS = 86_400_000;

/** The UTC day of an event, as a DATE. */
export const DAY_SQL = `(DATE '1970-01-01' + (event_time // ${DAY_MS})::INTEGER)`;

/** How many buckets the profiles fall into. */
export const BUCKETS = 256;

/**
 * The bucket of a profile: the first byte of the SHA-256 of its id in UTF-8. In SQL for DuckDB, which reckons it while a file
 * is written; `bucketOf` says the same.
 */
export const BUCKET_SQL = `('0x' || left(sha256(profile_id), 2))::UTINYINT`;

/** The columns of a file that are not taken from the record as they are, first of all: its order goes by them. */
export const COMPUTED_COLUMNS = ['day', 'bucket', 'work_id', 'topic', 'partition', 'log'];

/**
 * The order within a file. A unit of the batch layer is a (day, bucket), and it reads a profile's works in time: with small
 * row groups, the statistics of `day`, `bucket` and `profile_id` let a reader skip all but a few of them, and equal
 * profiles side by side compress to little.
 */
export const FILE_ORDER = 'day, bucket, profile_id, work_id, event_time, "offset"';
