import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSilentLayer } from './layer.ts';
import { expectServed } from './served.ts';
import { expectLedger, simulated, startStack, World } from './world.ts';

let stack: Awaited<ReturnType<typeof startStack>>;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.stop());

describe('simulated events with every kind of trouble', () => {
  test('are served as the oracle says, and counted as the simulator says', async () => {
    const world = await World.create(stack, 'calm');
    const { lines, ledger } = simulated(300, 2, 7);
    await world.publish(lines);
    const layer = await createSilentLayer(world);
    await layer.caughtUp();
    await layer.stop();

    const expected = await expectServed(world.pool, await world.readLog());
    expect(expected.plays.length).toBeGreaterThan(500);
    expect(expected.discoveries.length).toBeGreaterThan(100);

    await expectLedger(world, lines, ledger);
    await world.end();
  });
});
