import { withTransaction } from '../../platform/postgres.ts';
import type { BatchDeps } from '../advance.ts';
import { MANIFEST_NAME } from '../datasets/manifest.ts';
import { removeObjects } from './objects.ts';
import { NOTHING, type Removed, type Retention, seconds } from './retention.ts';

/**
 * Removes published datasets that are older than they are kept, but the latest of each name: first they are listed as removed,
 * then, once whoever reads them must have ended, their files go, the manifest first.
 */
export async function pruneDatasets(
  { pool, storage }: BatchDeps,
  { datasets }: Retention,
  dryRun: boolean,
): Promise<Removed> {
  const { rows } = await pool.query<{ build: number; name: string; version: number; folder: string }>(
    `select b.build, b.name, b.version, b.folder from whence.dataset_builds b
     where b.status = 'published' and b.published_at < now() - make_interval(secs => $1)
       and exists (
         select from whence.dataset_builds o where o.name = b.name and o.status = 'published' and o.version > b.version
       )
     order by b.build`,
    [seconds(datasets)],
  );
  const all = { ...NOTHING };
  for (const { build, name, version, folder } of rows) {
    const keys = await storage.list(folder);
    keys.sort((a, b) => Number(b.endsWith(MANIFEST_NAME)) - Number(a.endsWith(MANIFEST_NAME)));
    const objects = await Promise.all(keys.map(async (key) => ({ key, bytes: await storage.size(key) })));
    all.count++;
    all.bytes += objects.reduce((sum, { bytes }) => sum + bytes, 0);
    if (dryRun) continue;
    await withTransaction(pool, async (client) => {
      await client.query(`update whence.dataset_builds set status = 'removed', path = null where build = $1`, [build]);
      await client.query('delete from whence.dataset_units where build = $1', [build]);
      await removeObjects(client, objects, `dataset ${name}, version ${version}`);
    });
  }
  return all;
}
