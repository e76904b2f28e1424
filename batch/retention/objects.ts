import { findInstallation } from '../../archive/manifest.ts';
import { ownObjects } from '../../archive/locks.ts';
import { type Queryable, withTransaction } from '../../platform/postgres.ts';
import type { BatchDeps } from '../advance.ts';
import { copiesPrefix } from '../copies.ts';
import { NOTHING, type PruneStep, type Removed, type Retention, seconds } from './retention.ts';

/** Notes objects that nothing refers to any more, to be deleted after the grace. They are deleted in the order of this list. */
export async function removeObjects(
  database: Queryable,
  objects: readonly { key: string; bytes: number }[],
  because: string,
): Promise<void> {
  await database.query(
    `insert into whence.removed_objects (key, bytes, because)
     select key, bytes, $3 from unnest($1::text[], $2::bigint[]) o (key, bytes)
     on conflict (key) do nothing`,
    [objects.map(({ key }) => key), objects.map(({ bytes }) => bytes), because],
  );
}

/** Copies' lists that some version, attempt or build may still need. */
const LISTS_IN_USE = `
  select unnest(copies) from whence.batch_versions where removed_at is null
  union
  select unnest(copies) from whence.batch_attempts where committed is null
  union
  select jsonb_array_elements_text(pins -> 'copies') from whence.dataset_builds where status = 'building'`;

/**
 * Notes the lists of copies that nothing refers to: of attempts that were given up, and of versions that were removed.
 *
 * @returns what was newly noted
 */
export async function noteUnusedCopies({ pool, storage }: BatchDeps, dryRun: boolean): Promise<Removed> {
  const keys = await storage.list(copiesPrefix(await findInstallation(pool)));
  const { rows } = await pool.query<{ key: string }>(
    `select key from unnest($1::text[]) k (key)
     where key not in (${LISTS_IN_USE}) and key not in (select key from whence.removed_objects)
     order by key`,
    [keys],
  );
  const objects = await Promise.all(rows.map(async ({ key }) => ({ key, bytes: await storage.size(key) })));
  if (!dryRun) await removeObjects(pool, objects, 'a list of copies');
  return { count: objects.length, bytes: objects.reduce((sum, { bytes }) => sum + bytes, 0) };
}

/**
 * Deletes the objects whose grace is over. One that something refers to again by now (an attempt that was slow to begin) is
 * kept.
 */
export async function deleteObjects(
  { pool, storage }: BatchDeps,
  { grace }: Retention,
  { dryRun, onStep }: { dryRun: boolean; onStep: (step: PruneStep) => void | Promise<void> },
): Promise<Removed> {
  const over = 'removed_at < now() - make_interval(secs => $1)';
  const { rows } = await pool.query<{ key: string; bytes: number }>(
    `select key, bytes from whence.removed_objects where ${over} order by removed_at, ctid`,
    [seconds(grace)],
  );
  const all = { ...NOTHING };
  for (const { key, bytes } of rows) {
    const deleted = await withTransaction(pool, async (client) => {
      // Whoever begins to refer to an object makes sure, under the same lock, that it is there.
      await ownObjects(client);
      const { rows: used } = await client.query<{ used: boolean }>(`select $1 in (${LISTS_IN_USE}) as used`, [key]);
      if (dryRun) return !used[0].used;
      if (!used[0].used) {
        await storage.delete(key);
        await onStep('object deleted');
      }
      await client.query('delete from whence.removed_objects where key = $1', [key]);
      return !used[0].used;
    });
    if (!deleted) continue;
    all.count++;
    all.bytes += bytes;
  }
  return all;
}
