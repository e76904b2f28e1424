import { afterAll, beforeAll, expect, test } from 'vitest';
import { readBatchStatus } from '../../observe/batch-status.ts';
import { playback } from '../core/samples.ts';
import { LittleWorld, openGround, type Ground } from './little-world.ts';

let ground: Ground;
beforeAll(async () => {
  ground = await openGround();
});
afterAll(() => ground.stop());

test('a day is open until a version covers it, and where a play of it may still change', async () => {
  const [first, second] = ['2025-11-24', '2025-11-25'];
  const starts = [`${first}T12:00:00Z`, `${second}T11:00:00Z`, `${second}T12:00:00Z`].map(Date.parse);
  const little = await LittleWorld.create(
    ground,
    starts.map((event_time, offset) => ({
      topic: 'events',
      partition: 0,
      offset,
      event: playback({ event_id: `e${offset}`, playback_id: `b${offset}`, event_time }),
    })),
  );
  const openDays = async () => (await readBatchStatus(ground.pool)).open_days;

  await little.stream(0, Infinity);
  await little.archive('events', 0, 2);
  const before = await readBatchStatus(ground.pool);
  expect(before).toMatchObject({ version: null, covered_days: 0 });
  expect(before.open_days).toMatchObject([
    { day: second, covered: false, plays: 2 },
    { day: first, covered: false, plays: 1 },
  ]);

  await little.reconcile(first);
  const covered = await readBatchStatus(ground.pool);
  expect(covered.version).toMatchObject({ version: 1, held: false, watermark: new Date(starts[1]) });
  expect(covered.covered_days).toBe(1);
  expect(covered.open_days).toMatchObject([{ day: second, covered: false, plays: 2 }]);

  // The last play of what was archived is not final; what was archived since is dirty.
  await little.reconcile(second);
  expect(await openDays()).toMatchObject([{ day: second, covered: true, open_plays: 1, dirty_keys: 0 }]);
  await little.archive('events', 0, 1);
  expect(await openDays()).toMatchObject([{ day: second, covered: true, open_plays: 1, dirty_keys: 1 }]);

  await little.finish();
  const after = await readBatchStatus(ground.pool);
  expect(after.version?.watermark).toBeNull();
  expect(after).toMatchObject({ covered_days: 2, open_days: [] });
});
