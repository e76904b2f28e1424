import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { DatasetOutcome } from '../../activities/dataset-activities.ts';
import { verifyDataset } from '../../batch/datasets/verify-dataset.ts';
import { whence } from '../cli/run.ts';
import type { LittleWorld } from '../batch/little-world.ts';
import { archivedWorld, DAY, MISSED_SOON, openTemporalGround, type TemporalGround } from './temporal-ground.ts';

let temporal: TemporalGround;
let little: LittleWorld;
beforeAll(async () => {
  temporal = await openTemporalGround();
});
beforeEach(async () => {
  await temporal.ground.pool.query('truncate whence.dataset_builds, whence.dataset_units');
  little = await archivedWorld(temporal.ground);
});
afterAll(() => temporal.stop());

function build(workflowId: string, input: object, more: object = {}): Promise<DatasetOutcome> {
  const { client, taskQueue } = temporal;
  return client.workflow.execute<(asked: object) => Promise<DatasetOutcome>>('buildDataset', {
    workflowId,
    taskQueue,
    args: [input],
    ...more,
  });
}

const REQUEST = { name: 'rows', from: DAY, to: DAY };

test('it publishes a version, and again, with other workers, the same bytes as the next one', async () => {
  const first = await temporal.startWorker(little, { concurrency: 1 });
  await temporal.reconcile(DAY);
  const one = await build('first', REQUEST);
  await first.stop();
  const others = await Promise.all([temporal.startWorker(little), temporal.startWorker(little)]);
  const other = await build('second', REQUEST);
  await Promise.all(others.map((worker) => worker.stop()));
  expect(one).toMatchObject({ name: 'rows', version: 1, counts: { impressions: 20, examples: 20, positives: 20 } });
  expect(other).toEqual({ ...one, version: 2, path: one.path.replace('v1', 'v2') });
  const { pool } = temporal.ground;
  const { rows } = await pool.query(
    'select version, status, examples, positives from whence.datasets order by version',
  );
  expect(rows).toEqual([
    { version: 1, status: 'published', examples: 20, positives: 20 },
    { version: 2, status: 'published', examples: 20, positives: 20 },
  ]);
  expect(await verifyDataset(little.deps, 'rows')).toMatchObject({ version: 2, faults: [] });
});

test('a worker killed −9 at each step of a shard and of the publication loses nothing: the next one publishes it, once', async () => {
  const cover = temporal.spawnWorker('none');
  await temporal.reconcile(DAY);
  cover.kill();
  await cover;
  const built = build('killed', REQUEST, MISSED_SOON);
  for (const step of ['examples', 'stored', 'manifest stored', 'published']) {
    const { stdout, signal } = await temporal.spawnWorker(step);
    expect([stdout, signal]).toEqual([`killed at: ${step}`, 'SIGKILL']);
  }
  const last = temporal.spawnWorker('none');
  expect(await built).toMatchObject({ version: 1, counts: { examples: 20 } });
  last.kill();
  await last;
  const { rows } = await temporal.ground.pool.query('select version, status from whence.datasets');
  expect(rows).toEqual([{ version: 1, status: 'published' }]);
  expect(await verifyDataset(little.deps, 'rows')).toMatchObject({ faults: [] });
}, 600_000);

test('days that are not covered, and requests that make no sense, fail at once with words that help', async () => {
  const worker = await temporal.startWorker(little);
  const env = { TEMPORAL_ADDRESS: temporal.temporal.address, WHENCE_TASK_QUEUE: temporal.taskQueue };
  const command = (...args: string[]) => whence(['dataset', 'build', '--name', 'rows', ...args], { env });
  const uncovered = await command('--from', DAY, '--to', DAY);
  expect(uncovered).toMatchObject({ code: 1, stdout: '' });
  expect(uncovered.stderr).toContain(`npx whence reconcile --day ${DAY}`);
  const backwards = await command('--from', '2025-11-25', '--to', DAY);
  expect(backwards.stderr).toContain(`from 2025-11-25 is after to ${DAY}; swap them`);
  const format = await command('--from', DAY, '--to', DAY, '--format', 'csv');
  expect(format.stderr).toContain('format: expected "arrow" or "parquet", found "csv"');
  await worker.stop();
  const { rows } = await temporal.ground.pool.query('select from whence.dataset_builds');
  expect(rows).toEqual([]);
});
