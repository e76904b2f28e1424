import { ownCommit } from '../../merge/locks.ts';
import { type Queryable, withTransaction } from '../../platform/postgres.ts';
import type { BatchDeps } from '../advance.ts';
import { deleteRows, measureRows, type Rows } from './delete-rows.ts';
import { type PruneStep, type Removed, type Retention, seconds } from './retention.ts';

/** `count` is that of the plays. */
export interface RemovedVersions extends Removed {
  versions: number;
  /** Null where there is no version. */
  oldestKept: number | null;
}

interface Options {
  dryRun: boolean;
  onStep: (step: PruneStep) => void | Promise<void>;
}

/**
 * Removes old versions: first they can no longer be read or gone back to, then the rows go that only they had.
 *
 * Kept is every version that was current at some time of late, the current one whatever its age, those that somebody works
 * from, and all that are newer than the oldest of these.
 */
export async function pruneVersions(
  { pool }: BatchDeps,
  { versions }: Retention,
  { dryRun, onStep }: Options,
): Promise<RemovedVersions> {
  const { oldestKept, marked } = await withTransaction(pool, async (client) => {
    // A rollback makes sure, under the same lock, that its version is kept.
    await ownCommit(client);
    const oldest = await findOldestKept(client, versions);
    const { rowCount } = await client.query(
      dryRun
        ? 'select from whence.batch_versions where version < $1 and removed_at is null'
        : 'update whence.batch_versions set removed_at = now() where version < $1 and removed_at is null',
      [oldest],
    );
    return { oldestKept: oldest, marked: rowCount ?? 0 };
  });
  if (oldestKept === null) return { versions: 0, oldestKept, count: 0, bytes: 0 };
  await onStep('versions marked');
  // Also those that an earlier run marked and did not get to remove.
  const ended = 'r.to_version <= $1';
  const rows = (table: string, where = ended): Rows => ({ table, where, parameters: [oldestKept] });
  const plays = await (dryRun
    ? measureRows(pool, rows('whence.batch_plays'))
    : deleteRows(pool, rows('whence.batch_plays')));
  if (!dryRun) {
    await deleteRows(pool, rows('whence.batch_days'));
    await deleteRows(pool, rows('whence.batch_uncompared', 'r.version < $1'));
  }
  await onStep('versions');
  return { versions: marked, oldestKept, ...plays };
}

/** The oldest version that is kept; null where there is none at all. */
async function findOldestKept(database: Queryable, age: number): Promise<number | null> {
  // A version was current from its commit, or from a rollback to it, until the next of these. Their numbers are in order,
  // and their times are those of their beginning: nearly so.
  const { rows } = await database.query<{ oldest: number | null }>(
    `with turns as (
       select version as number, version, committed_at as at from whence.batch_versions
       union all
       select number, to_version, at from whence.rollbacks
     ), wanted as (
       select version from turns where at > now() - make_interval(secs => $1)
       union all
       (select version from turns where at <= now() - make_interval(secs => $1) order by number desc limit 1)
       union all
       select version from whence.batch_head
       union all
       select parent from whence.batch_attempts where committed is null and parent > 0
       union all
       select (pins ->> 'version')::bigint from whence.dataset_builds where status = 'building'
     )
     select greatest(min(version), (
       select min(version) from whence.batch_versions where removed_at is null
     )) as oldest from wanted`,
    [seconds(age)],
  );
  return rows[0].oldest;
}
