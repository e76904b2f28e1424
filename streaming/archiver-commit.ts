import { ArchiveFileSweptError } from '../archive/errors.ts';
import type { ArchiveFile } from '../archive/file.ts';
import { giveWayWhenFrozen } from '../archive/locks.ts';
import { addToManifest, isInManifest } from '../archive/manifest.ts';
import { withTransaction, type Pool } from '../platform/postgres.ts';
import type { Storage } from '../platform/storage.ts';
import { FencedError } from './errors.ts';
import { advanceArchiveTask, type ArchiveFence, type RecordMark } from './sql/archive-tasks.ts';

/** A crash or a fault can be put between any two steps, by tests. */
export type ArchiveStep = 'published' | 'begun' | 'fenced' | 'before commit' | 'committed';
export type OnArchiveStep = (step: ArchiveStep) => void | Promise<void>;

/**
 * Commits a published file: the manifest's rows and the task's place, all or nothing, and only while the task is of this epoch
 * and at the place that the file continues.
 *
 * @throws FencedError, ArchiveFileSweptError; then nothing was written
 */
export async function commitFile(
  pool: Pool,
  storage: Storage,
  fence: ArchiveFence,
  file: ArchiveFile,
  last: RecordMark | null,
  onStep: OnArchiveStep = () => {},
): Promise<void> {
  await withTransaction(pool, async (client) => {
    await giveWayWhenFrozen(client);
    await onStep('begun');
    const { log, to: offset, path, maxEventTime } = file;
    const moved = await advanceArchiveTask(client, fence, { to: { log, offset }, last, path, maxEventTime });
    if (!moved) throw new FencedError(fence.task, fence.epoch);
    await onStep('fenced');
    // Whoever removes orphans locks the same row: from here on, no one takes this file for one.
    if (!(await storage.exists(path))) throw new ArchiveFileSweptError(path);
    await addToManifest(client, file);
    await onStep('before commit');
  });
  await onStep('committed');
}

/**
 * `commitFile` where the connection may have broken while an earlier try of the same file was being committed: a fence that is
 * closed because that try went through is no fence. (A try that still holds the row makes this one wait for it.)
 */
export async function commitFileAgain(...commit: Parameters<typeof commitFile>): Promise<void> {
  const [pool, , , file] = commit;
  try {
    await commitFile(...commit);
  } catch (error) {
    if (error instanceof FencedError && (await isInManifest(pool, file.path))) return;
    throw error;
  }
}
