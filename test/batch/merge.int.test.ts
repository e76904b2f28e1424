import fc from 'fast-check';
import { afterAll, beforeAll, test } from 'vitest';
import { world } from '../oracle/worlds.ts';
import { expectRollup, expectServed } from '../streaming/served.ts';
import { type Ground, LittleWorld, openGround } from './little-world.ts';

let ground: Ground;
beforeAll(async () => {
  ground = await openGround();
});
afterAll(() => ground.stop());

test('all streamed, archived, complete and covered, what is served is the answer of the oracle', async () => {
  await fc.assert(
    fc.asyncProperty(world, async (log) => {
      fc.pre(log.length > 0);
      const little = await LittleWorld.create(ground, log);
      await little.finish();
      await expectServed(ground.pool, [...log], 'batch');
      await expectRollup(ground.pool);
    }),
    { numRuns: 30 },
  );
}, 120_000);
