import { prefixOf } from '../../archive/file.ts';
import { ownObjects } from '../../archive/locks.ts';
import { findInstallation, type ManifestFile, readFiles } from '../../archive/manifest.ts';
import { mergeFiles } from '../../archive/merge-files.ts';
import { replaceFiles } from '../../archive/replace-files.ts';
import { utcDay } from '../../attribution/time.ts';
import { type Queryable, withTransaction } from '../../platform/postgres.ts';
import type { BatchDeps } from '../advance.ts';
import type { StoredPosition } from '../snapshot.ts';
import { removeObjects } from './objects.ts';

/** A crash or a fault can be put between any two steps, by tests. */
export type CompactStep = 'published' | 'replacing' | 'replaced';

export interface CompactOptions {
  /** What is dated on this day or later is left alone: more of it is to come. UTC, YYYY-MM-DD; today where it is not said. */
  before?: string;
  /** For tests: with fewer files, a merge is not worth it. */
  leastFiles?: number;
  signal?: AbortSignal;
  onStep?: (step: CompactStep) => void | Promise<void>;
}

export interface CompactSummary {
  /** Files that were merged, and into how many. */
  merged: number;
  into: number;
}

/** With fewer, a file would be written again for little. */
const LEAST_FILES = 4;
/** A merged file has at most so many rows and bytes: as the archiver's own at most have. */
const MOST_ROWS = 500_000;
const MOST_BYTES = 128 * 1024 * 1024;

/**
 * Merges small files of the archive that follow one another: those of a topic-partition whose last event is of the same day. No
 * snapshot that somebody may still ask for ends within a merged file: it would lack its beginning. The files that were
 * replaced are deleted when retention finds that nobody can be reading them any more.
 */
export async function compactArchive(
  deps: BatchDeps,
  { before = utcDay(Date.now()), leastFiles = LEAST_FILES, signal, onStep = () => {} }: CompactOptions = {},
): Promise<CompactSummary> {
  const { pool, storage, scratch } = deps;
  const places = { storage, scratch, prefix: prefixOf(await findInstallation(pool)) };
  const summary: CompactSummary = { merged: 0, into: 0 };
  for (const group of groupsOf(await readFiles(pool), await readPinned(pool), { before, leastFiles })) {
    signal?.throwIfAborted();
    const merged = await mergeFiles(places, group);
    await onStep('published');
    const done = await withTransaction(pool, async (client) => {
      // An attempt makes sure, under the same lock, that its snapshot ends where a file does.
      await ownObjects(client);
      const isCut = (await readPinned(client)).some((pin) => endsWithin(pin, merged));
      if (isCut || !(await replaceFiles(client, storage, merged, group))) {
        // Of no use, and nobody knows of it.
        await removeObjects(client, [{ key: merged.path, bytes: merged.bytes }], 'a merged file that came too late');
        return false;
      }
      await removeObjects(
        client,
        group.map(({ path: key, bytes }) => ({ key, bytes })),
        `merged into ${merged.path}`,
      );
      await onStep('replacing');
      return true;
    });
    await onStep('replaced');
    if (!done) continue;
    summary.merged += group.length;
    summary.into++;
  }
  return summary;
}

/** Where the snapshots end that somebody may still ask for. */
async function readPinned(database: Queryable): Promise<StoredPosition[]> {
  const { rows } = await database.query<StoredPosition>(
    `select distinct p.topic, p.partition, p.log, p.next
     from (
       select positions from whence.batch_versions where removed_at is null
       union all
       select positions from whence.batch_attempts where committed is null
       union all
       select pins -> 'positions' from whence.dataset_builds where status = 'building'
     ) pinned
     cross join lateral jsonb_to_recordset(positions) p (topic text, partition integer, log integer, next bigint)`,
  );
  return rows;
}

function endsWithin(
  { topic, partition, log, next }: StoredPosition,
  file: Pick<ManifestFile, 'topic' | 'partition' | 'log' | 'from' | 'to'>,
): boolean {
  const ofLog = topic === file.topic && partition === file.partition && log === file.log;
  return ofLog && next > file.from && next < file.to;
}

/** Files to be merged. `files` are in the order of the manifest: by topic, partition, log and offset. */
function groupsOf(
  files: readonly ManifestFile[],
  pinned: readonly StoredPosition[],
  { before, leastFiles }: { before: string; leastFiles: number },
): ManifestFile[][] {
  const ends = new Set(pinned.map(({ topic, partition, log, next }) => placeOf(topic, partition, log, next)));
  const groups: ManifestFile[][] = [];
  let group: ManifestFile[] = [];
  for (const [i, file] of files.entries()) {
    const last = group.at(-1);
    if (last !== undefined && !mayFollow(group, last, file, ends)) {
      groups.push(group);
      group = [];
    }
    // The next commit of the archiver names the last file of its partition.
    const isLast = files[i + 1]?.topic !== file.topic || files[i + 1].partition !== file.partition;
    if (!isLast && dayOf(file) < before && isSmall([file])) group.push(file);
  }
  return [...groups, group].filter(({ length }) => length >= leastFiles);
}

function mayFollow(
  group: readonly ManifestFile[],
  last: ManifestFile,
  file: ManifestFile,
  ends: ReadonlySet<string>,
): boolean {
  const follows =
    last.topic === file.topic &&
    last.partition === file.partition &&
    last.log === file.log &&
    last.to === file.from &&
    file.after.log === last.log &&
    file.after.offset === last.to;
  return (
    follows &&
    // A file without rows is of whichever day.
    (file.rows === 0 || group.every((each) => each.rows === 0 || dayOf(each) === dayOf(file))) &&
    isSmall([...group, file]) &&
    !ends.has(placeOf(last.topic, last.partition, last.log, last.to))
  );
}

function isSmall(files: readonly ManifestFile[]): boolean {
  const sum = (of: (file: ManifestFile) => number) => files.reduce((all, file) => all + of(file), 0);
  return sum(({ rows }) => rows) <= MOST_ROWS && sum(({ bytes }) => bytes) <= MOST_BYTES;
}

/** Of the last event; the first of all days where there is none. */
function dayOf({ maxEventTime }: ManifestFile): string {
  return utcDay(Math.max(0, maxEventTime ?? 0));
}

function placeOf(topic: string, partition: number, log: number, next: number): string {
  return `${topic}/${partition}/${log}/${next}`;
}
