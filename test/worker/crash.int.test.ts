import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectServed } from '../streaming/served.ts';
import { archivedWorld, DAY, openTemporalGround, type TemporalGround } from './temporal-ground.ts';

let temporal: TemporalGround;
beforeAll(async () => {
  temporal = await openTemporalGround();
});
afterAll(() => temporal.stop());

const STEPS = ['prepare', 'derive', 'stage', 'staged', 'written', 'before commit', 'committed'];

test('workers killed −9 at every step of units and of the commit: the last one completes it, once', async () => {
  const little = await archivedWorld(temporal.ground);
  const reconciled = Promise.all([temporal.reconcile(DAY), temporal.reconcile('2025-11-25')]);
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
  expect(outcomes).toMatchObject([{ plays: 20 }, { plays: 20 }]);
  const { rows } = await temporal.ground.pool.query(
    `select (select count(*) from whence.versions) as versions, (select count(*) from whence.batch_plays) as plays,
       (select count(*) from whence.batch_attempts where committed is null) as open`,
  );
  expect(rows).toEqual([{ versions: 2, plays: 40, open: 0 }]);
  await expectServed(temporal.ground.pool, [...little.log], 'batch');
}, 600_000);
