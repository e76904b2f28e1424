import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { recordCorrections } from '../../batch/record-corrections.ts';
import { release } from '../../batch/rollback.ts';
import { world } from '../oracle/worlds.ts';
import { expectServed } from '../streaming/served.ts';
import { type Ground, LittleWorld, openGround } from './little-world.ts';
import { commands, look, pruneAll, seen } from './model-steps.ts';
import { plainLog } from './plain-worlds.ts';

/**
 * So many sequences of each kind, always the same ones, so that what they met can be asserted; more, and others, with the
 * environment variables.
 */
const RUNS = Number(process.env['WHENCE_MODEL_RUNS'] ?? 12);
const SEED = Number(process.env['WHENCE_MODEL_SEED'] ?? 3);

let ground: Ground;
beforeAll(async () => {
  ground = await openGround();
});
afterAll(() => ground.stop());

test.each([
  ['events that all count', plainLog, true],
  ['hostile little worlds', world, false],
] as const)(
  'whatever is streamed, archived and covered when, readers see one answer, and in the end the oracle’s: %s',
  async (_, logs, isPlain) => {
    await fc.assert(
      fc.asyncProperty(logs, commands, async (log, steps) => {
        fc.pre(log.length > 0);
        const little = await LittleWorld.create(ground, log);
        little.isPlain = isPlain;
        await fc.asyncModelRun(() => ({ model: {}, real: little }), steps);
        if (await little.isHeld()) await release(little.deps, 'test');
        await little.finish();
        seen.corrections += (await recordCorrections(little.deps)).corrections ?? 0;
        await look(little);
        await expectServed(ground.pool, [...log], 'batch');
        await pruneAll(little);
        await look(little);
        await expectServed(ground.pool, [...log], 'batch');
      }),
      { numRuns: RUNS, seed: SEED },
    );
  },
  Math.max(600_000, RUNS * 40_000),
);

test('the runs above met what they are about', () => {
  expect(Object.entries(seen).filter(([, times]) => times === 0)).toEqual([]);
});
