import type { Queryable } from '../platform/postgres.ts';
import type { LentObject } from '../platform/storage.ts';
import type { ArchiveFile, LogPlace } from './file.ts';

/** What the archive holds of a topic-partition. */
export interface ArchivePosition {
  topic: string;
  partition: number;
  /** The horizon: the next offset after the last one archived, and in which log of the topic-partition. */
  horizon: LogPlace;
  /** The greatest event time archived, epoch milliseconds; null where there is no event. */
  greatestEventTime: number | null;
  /**
   * For how long, in milliseconds, nothing came after the horizon, as far as was looked: the partition was read to its end,
   * and some time later it still ended there. null where its end has not been seen.
   */
  quietForMs: number | null;
}

/** A file of the manifest, with its number there. */
export interface ManifestFile extends ArchiveFile {
  file: number;
}

/** The files as objects of the storage, to be lent. */
export function asObjects(files: readonly Pick<ArchiveFile, 'path' | 'sha256'>[]): LentObject[] {
  return files.map(({ path, sha256 }) => ({ key: path, sha256 }));
}

/** Where the archive stands, by topic (code units), then partition: one moment, of all of them. */
export async function readPositions(database: Queryable): Promise<ArchivePosition[]> {
  const { rows } = await database.query<{
    topic: string;
    partition: number;
    log: number;
    next_offset: number;
    greatest: number | null;
    quiet_for: number | null;
  }>(
    `select topic, partition, log, next_offset, ${epochMs('greatest_event_time')} as greatest,
       greatest(0, ${epochMs('end_seen_at')} - ${epochMs('quiet_since')}) as quiet_for
     from whence.archive_tasks
     order by topic collate "C", partition`,
  );
  return rows.map((row) => ({
    topic: row.topic,
    partition: row.partition,
    horizon: { log: row.log, offset: row.next_offset },
    greatestEventTime: row.greatest,
    quietForMs: row.quiet_for,
  }));
}

/**
 * The watermark of a topic-partition, epoch milliseconds: the greatest event time archived; Infinity where it was read to its end
 * and had been quiet for an hour; -Infinity where nothing is known.
 */
export function watermarkOf({ greatestEventTime, quietForMs }: ArchivePosition): number {
  if (quietForMs !== null && quietForMs >= COMPLETE_AFTER_MS) return Infinity;
  return greatestEventTime ?? -Infinity;
}

/** A partition that was quiet for this long is complete. */
export const COMPLETE_AFTER_MS = 60 * 60 * 1000;

export interface FileFilter {
  /** Only files with an event of one of these days (UTC, YYYY-MM-DD); files without rows have none. */
  days?: readonly string[];
  /** Only files below the horizons of these positions: what a snapshot holds. Partitions that are not listed have none. */
  until?: readonly ArchivePosition[];
  /** Only files at or beyond the horizons of these positions: what came since. Partitions not listed have all theirs. */
  since?: readonly ArchivePosition[];
}

/** The files of the manifest, by topic (code units), partition, log and offset. */
export async function readFiles(database: Queryable, filter: FileFilter = {}): Promise<ManifestFile[]> {
  const { rows } = await database.query<Omit<ManifestFile, 'replaces'> & { replaces: string[] | null }>(
    `select f.file, f.format, t.topic, t.partition, f.log, f.from_offset as "from", f.to_offset as "to", f.rows,
       ${epochMs('f.min_event_time')} as "minEventTime", ${epochMs('f.max_event_time')} as "maxEventTime",
       coalesce((
         select jsonb_object_agg(d.day::text, d.rows) from whence.archive_file_days d where d.file = f.file
       ), '{}') as days,
       jsonb_build_object('log', f.after_log, 'offset', f.after_offset) as after, f.previous,
       ${epochMs('f.created_at')} as "createdAt", f.path, f.bytes, f.sha256, f.replaces
     from whence.archive_files f
     join whence.archive_tasks t using (task)
     where ($1::date[] is null or exists (
         select from whence.archive_file_days d where d.file = f.file and d.day = any ($1::date[])
       ))
       and ($2::jsonb is null or exists (
         select from ${HORIZONS('$2')}
         where h.topic = t.topic and h.partition = t.partition and (f.log, f.to_offset) <= (h.log, h.next)
       ))
       and ($3::jsonb is null or not exists (
         select from ${HORIZONS('$3')}
         where h.topic = t.topic and h.partition = t.partition and (f.log, f.to_offset) <= (h.log, h.next)
       ))
     order by t.topic collate "C", t.partition, f.log, f.from_offset`,
    [filter.days ?? null, horizonsJson(filter.until), horizonsJson(filter.since)],
  );
  return rows.map(({ replaces, ...file }) => (replaces === null ? file : { ...file, replaces }));
}

const HORIZONS = (parameter: string) =>
  `jsonb_to_recordset(${parameter}) as h (topic text, partition integer, log integer, next bigint)`;

function horizonsJson(positions: readonly ArchivePosition[] | undefined): string | null {
  if (positions === undefined) return null;
  return JSON.stringify(
    positions.map(({ topic, partition, horizon }) => ({ topic, partition, log: horizon.log, next: horizon.offset })),
  );
}

/**
 * Adds a file. Part of the transaction that moves its task on, which alone keeps ranges gapless, or that removes the files it was
 * merged from.
 */
export async function addToManifest(database: Queryable, file: ArchiveFile): Promise<void> {
  await database.query(
    `with added as (
       insert into whence.archive_files
         (task, log, from_offset, to_offset, after_log, after_offset, path, previous, format, rows, bytes, sha256,
          min_event_time, max_event_time, created_at, replaces)
       select t.task, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, ${timeOf('$14')}, ${timeOf('$15')}, ${timeOf('$16')},
         $18::text[]
       from whence.archive_tasks t
       where t.topic = $1 and t.partition = $2
       returning file
     )
     insert into whence.archive_file_days (day, file, rows)
     select d.key::date, added.file, d.value::bigint from added, jsonb_each_text($17::jsonb) d`,
    [
      file.topic,
      file.partition,
      file.log,
      file.from,
      file.to,
      file.after.log,
      file.after.offset,
      file.path,
      file.previous,
      file.format,
      file.rows,
      file.bytes,
      file.sha256,
      file.minEventTime,
      file.maxEventTime,
      file.createdAt,
      JSON.stringify(file.days),
      file.replaces ?? null,
    ],
  );
}

/** Names this installation, for as long as its database lives. */
export async function findInstallation(database: Queryable): Promise<string> {
  await database.query('insert into whence.installation default values on conflict do nothing');
  const { rows } = await database.query<{ id: string }>('select id::text from whence.installation');
  return rows[0].id;
}

/** Whether the manifest names this file. */
export async function isInManifest(database: Queryable, path: string): Promise<boolean> {
  const { rowCount } = await database.query('select from whence.archive_files where path = $1', [path]);
  return rowCount === 1;
}

/** A timestamptz as epoch milliseconds; a bigint, exact. */
function epochMs(column: string): string {
  return `(extract(epoch from ${column}) * 1000)::bigint`;
}

/** Epoch milliseconds as a timestamptz, exact. */
export function timeOf(parameter: string): string {
  return `(timestamptz 'epoch' + ${parameter}::double precision * interval '1 millisecond')`;
}
