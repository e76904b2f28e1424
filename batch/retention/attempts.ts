import type { Pool } from '../../platform/postgres.ts';
import { abandonAttempt } from '../abandon-attempt.ts';
import type { BatchDeps } from '../advance.ts';
import { abandonDataset } from '../datasets/abandon-dataset.ts';
import { measureRows } from './delete-rows.ts';
import { NOTHING, type Removed, type Retention, seconds } from './retention.ts';

/** Whether the workflow of this id is still running: what it began is not abandoned. */
export type IsRunning = (owner: string) => Promise<boolean>;

/** Rows of an attempt, in the tables that go with it. */
const OF_ATTEMPT = ['batch_attempts', 'batch_units', 'batch_dirty_keys', 'batch_staged_plays'];

/** Gives up the attempts of workflows that ended without doing so (they were terminated), with all that was staged. */
export async function pruneAttempts(
  deps: BatchDeps,
  { attempts }: Retention,
  isRunning: IsRunning,
  dryRun: boolean,
): Promise<Removed> {
  const { pool } = deps;
  const abandoned = await ended<{ attempt: number }>(
    pool,
    `select attempt, owner from whence.batch_attempts
     where committed is null and begun_at < now() - make_interval(secs => $1) order by attempt`,
    attempts,
    isRunning,
  );
  const all = { ...NOTHING };
  for (const { attempt } of abandoned) {
    for (const table of OF_ATTEMPT) {
      const rows = { table: `whence.${table}`, where: 'r.attempt = $1', parameters: [attempt] };
      all.bytes += (await measureRows(pool, rows)).bytes;
    }
    if (!dryRun) await abandonAttempt(deps, attempt);
    all.count++;
  }
  return all;
}

/** Gives up the builds of datasets whose workflows ended without doing so, with the files that there are of them. */
export async function pruneBuilds(
  deps: BatchDeps,
  { attempts }: Retention,
  isRunning: IsRunning,
  dryRun: boolean,
): Promise<Removed> {
  const { pool, storage } = deps;
  const abandoned = await ended<{ build: number; folder: string }>(
    pool,
    `select build, folder, owner from whence.dataset_builds
     where status = 'building' and created_at < now() - make_interval(secs => $1) order by build`,
    attempts,
    isRunning,
  );
  const all = { ...NOTHING };
  for (const { build, folder } of abandoned) {
    for (const key of await storage.list(folder)) all.bytes += await storage.size(key);
    if (!dryRun) await abandonDataset(deps, build);
    all.count++;
  }
  return all;
}

/** Of what is old enough, that whose owner does not run. */
async function ended<Row>(pool: Pool, sql: string, age: number, isRunning: IsRunning): Promise<Row[]> {
  const { rows } = await pool.query<Row & { owner: string }>(sql, [seconds(age)]);
  const found: Row[] = [];
  for (const row of rows) if (!(await isRunning(row.owner))) found.push(row);
  return found;
}
