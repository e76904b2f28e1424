import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BatchCommitStep } from '../../batch/commit-attempt.ts';
import type { backfill } from '../../workflows/backfill.ts';
import { expectServed } from '../streaming/served.ts';
import { archivedWorld, DAY, MISSED_SOON, openTemporalGround, type TemporalGround } from './temporal-ground.ts';

let temporal: TemporalGround;
beforeAll(async () => {
  temporal = await openTemporalGround();
});
afterAll(() => temporal.stop());

const STEPS = ['prepare', 'derive', 'stage', 'staged', 'written', 'before commit', 'committed'];

test('workers killed −9 at every step of units and of the commit: the last one completes it, once', async () => {
  const little = await archivedWorld(temporal.ground);
  const reconciled = Promise.all([DAY, '2025-11-25'].map((day) => temporal.reconcile(day, MISSED_SOON)));
  const hits: string[] = [];
  for (const step of STEPS) {
    const { stdout, signal } = await temporal.spawnWorker(step);
    expect(signal).toBe('SIGKILL');
    hits.push(stdout);
  }
  expect(hits).toEqual(STEPS.map((step) => `killed at: ${step}`));
  const worker = temporal.spawnWorker('none');
  const outcomes = await reconciled;
  worker.kill();
  await worker;
  expect(outcomes).toMatchObject([{ plays: 20 }, { plays: 20 }]);
  const { rows } = await temporal.ground.pool.query(
    `select (select count(*) from whence.versions) as versions, (select count(*) from whence.batch_plays) as plays,
       (select count(*) from whence.batch_attempts where committed is null) as open`,
  );
  expect(rows).toEqual([{ versions: 2, plays: 40, open: 0 }]);
  await expectServed(temporal.ground.pool, [...little.log], 'batch');
}, 600_000);

test('workers killed −9, Postgres and Temporal restarted amid a backfill of 10 days: each is committed once', async () => {
  const little = await archivedWorld(temporal.ground, 4, 10);
  const { pool } = temporal.ground;
  const handle = await temporal.client.workflow.start<typeof backfill>('backfill', {
    workflowId: 'backfill of 10 days',
    taskQueue: temporal.taskQueue,
    args: [{ from: DAY, to: '2025-12-03', parallel: 2 }],
    ...MISSED_SOON,
  });
  const committed = async () => Number((await pool.query('select from whence.versions')).rowCount);
  const hits: { stdout: string; signal: unknown; committed: number }[] = [];
  for (const step of ['staged', 'committed', 'written']) {
    const { stdout, signal } = await temporal.spawnWorker(step);
    hits.push({ stdout, signal, committed: await committed() });
  }
  expect(hits).toEqual([
    { stdout: 'killed at: staged', signal: 'SIGKILL', committed: 0 },
    { stdout: 'killed at: committed', signal: 'SIGKILL', committed: 1 },
    { stdout: 'killed at: written', signal: 'SIGKILL', committed: 1 },
  ]);
  const restarts = [
    { after: 3, restart: () => temporal.ground.restartPostgres() },
    { after: 6, restart: () => temporal.restartTemporal() },
  ];
  const restarted: number[] = [];
  const worker = await temporal.startWorker(little, {
    steps: {
      async commit(step: BatchCommitStep) {
        const [next] = restarts;
        if (step !== 'before commit' || next === undefined || (await committed()) !== next.after) return;
        restarts.shift();
        restarted.push(next.after);
        await next.restart();
      },
    },
  });
  await expect.poll(committed, { timeout: 120_000 }).toBe(10);
  expect(await handle.result()).toMatchObject({ status: 'completed', days: 10, failed: [] });
  await worker.stop();
  expect(restarted).toEqual([3, 6]);
  const { rows } = await pool.query<{ cause: string }>('select cause from whence.versions order by version');
  expect(rows.map(({ cause }) => cause)).toEqual(little.days.map((day) => `backfill ${day}, of ${DAY} to 2025-12-03`));
  await expectServed(pool, [...little.log], 'batch');
}, 600_000);
