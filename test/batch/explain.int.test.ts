import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { explainBatchPlay } from '../../batch/explain-play.ts';
import { world } from '../oracle/worlds.ts';
import { type Ground, LittleWorld, openGround } from './little-world.ts';

let ground: Ground;
beforeAll(async () => {
  ground = await openGround();
});
afterAll(() => ground.stop());

test('every play that batch serves is explained from the archive, and what wins is what its row says', async () => {
  let plays = 0;
  let candidates = 0;
  for (const log of fc.sample(world, { numRuns: 5, seed: 4 })) {
    const little = await LittleWorld.create(ground, log);
    await little.finish();
    const { rows } = await ground.pool.query<{ play_id: string; sop_impression_id: string | null }>(
      `select play_id, sop_impression_id from whence.plays where layer = 'batch'`,
    );
    for (const { play_id, sop_impression_id } of rows) {
      const explained = await explainBatchPlay(little.deps, play_id);
      expect(explained).toMatchObject({ facts: 'agree', served: { play_id } });
      const winners = explained?.explanation?.candidates.filter(({ source_of_play }) =>
        source_of_play.startsWith('won'),
      );
      expect(winners?.map((winner) => winner.impression_id)).toEqual(
        sop_impression_id === null ? [] : [sop_impression_id],
      );
      plays++;
      candidates += explained?.explanation?.candidates.length ?? 0;
    }
  }
  expect(plays).toBeGreaterThan(10);
  expect(candidates).toBeGreaterThan(plays);
});

test('what the speed layer serves, or nobody, is not batch’s to explain', async () => {
  const [log] = fc.sample(world, { numRuns: 1, seed: 4 });
  const little = await LittleWorld.create(ground, log);
  for (const partition of little.partitions) await little.stream(partition, Infinity);
  const { rows } = await ground.pool.query<{ play_id: string }>('select play_id from whence.plays limit 1');
  expect(await explainBatchPlay(little.deps, rows[0].play_id)).toBeNull();
  expect(await explainBatchPlay(little.deps, '00000000-0000-4000-8000-000000000000')).toBeNull();
});
