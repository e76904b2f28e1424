import { withTransaction, type Pool } from '../platform/postgres.ts';
import type { Storage } from '../platform/storage.ts';
import { type FileDescription } from './file.ts';
import { giveWayWhenFrozen } from './locks.ts';
import { isInManifest } from './manifest.ts';
import { readDescriptions } from './read-descriptions.ts';

/** A file that may still be committed is left alone for this long. */
export const ORPHAN_AGE_MS = 60 * 60 * 1000;

/**
 * Removes files that were published and never committed: a crash or a zombie left them. @returns their keys
 *
 * Where the archive has gone beyond the place at which such a file begins, it can never be committed, and goes at once. Else
 * it goes when it is old. Either way its task's row is locked meanwhile, and whoever commits makes sure, under the same lock,
 * that the file is there (`ArchiveFileSweptError`): even a commit that took longer than that names no missing file.
 *
 * @param prefix of this installation's files, see `prefixOf`
 * @throws NotAnArchiveFileError
 */
export async function removeOrphans(
  storage: Storage,
  prefix: string,
  pool: Pool,
  olderThanMs = ORPHAN_AGE_MS,
): Promise<string[]> {
  const keys = await storage.list(prefix);
  // What was replaced is deleted by retention, when nobody can be reading it any more.
  const { rows } = await pool.query<{ path: string }>(
    'select path from whence.archive_files union all select key from whence.removed_objects',
  );
  const committed = new Set(rows.map(({ path }) => path));
  const suspects = keys.filter((key) => !committed.has(key));
  const removed: string[] = [];
  for (const key of suspects) {
    const description = await describe(storage, key);
    if (description === null) continue;
    if (await removeIfOrphan(storage, pool, key, description, olderThanMs)) removed.push(key);
  }
  return removed;
}

/** null where the file is gone by now: another process removes orphans, too. */
async function describe(storage: Storage, key: string): Promise<FileDescription | null> {
  try {
    return (await readDescriptions(storage, [key])).get(key) ?? null;
  } catch (error) {
    if (await storage.exists(key)) throw error;
    return null;
  }
}

function removeIfOrphan(
  storage: Storage,
  pool: Pool,
  key: string,
  { topic, partition, after, createdAt }: FileDescription,
  olderThanMs: number,
): Promise<boolean> {
  return withTransaction(pool, async (client) => {
    await giveWayWhenFrozen(client);
    const { rows } = await client.query<{ log: number; next_offset: number }>(
      'select log, next_offset from whence.archive_tasks where topic = $1 and partition = $2 for update',
      [topic, partition],
    );
    const [at] = rows;
    const passed = at !== undefined && (at.log > after.log || (at.log === after.log && at.next_offset > after.offset));
    if (!passed && Date.now() - createdAt < olderThanMs) return false;
    if (await isInManifest(client, key)) return false;
    const { rowCount } = await client.query('select from whence.removed_objects where key = $1', [key]);
    if (rowCount !== 0) return false;
    await storage.delete(key);
    return true;
  });
}
