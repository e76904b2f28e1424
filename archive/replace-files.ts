import type { PoolClient } from '../platform/postgres.ts';
import type { Storage } from '../platform/storage.ts';
import { ArchiveFileSweptError } from './errors.ts';
import type { ArchiveFile } from './file.ts';
import { giveWayWhenFrozen } from './locks.ts';
import { addToManifest } from './manifest.ts';

/**
 * Part of a transaction: has the manifest name a merged file instead of those that it was merged from.
 *
 * @returns false where one of these is no longer named: then nothing was changed
 * @throws ArchiveFileSweptError where the merged file is not there any more
 */
export async function replaceFiles(
  client: PoolClient,
  storage: Storage,
  merged: ArchiveFile,
  replaced: readonly ArchiveFile[],
): Promise<boolean> {
  await giveWayWhenFrozen(client);
  // As a commit of the archiver does: whoever removes orphans locks the same row.
  await client.query('select from whence.archive_tasks where topic = $1 and partition = $2 for update', [
    merged.topic,
    merged.partition,
  ]);
  if (!(await storage.exists(merged.path))) throw new ArchiveFileSweptError(merged.path);
  const paths = replaced.map(({ path }) => path);
  const { rowCount } = await client.query('select from whence.archive_files where path = any ($1)', [paths]);
  if (rowCount !== replaced.length) return false;
  await client.query('delete from whence.archive_files where path = any ($1)', [paths]);
  await addToManifest(client, merged);
  return true;
}
