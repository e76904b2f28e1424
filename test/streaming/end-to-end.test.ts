import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createProducer } from '../../platform/kafka.ts';
import { playback } from '../core/samples.ts';
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

test('from the sending of its first event to its row, a play takes less than a second', async () => {
  const world = await World.create(stack, 'fresh');
  const layer = await createSilentLayer(world);
  const producer = createProducer(world.kafka);
  await producer.connect();
  const took: number[] = [];
  for (let i = 0; i < 20; i++) {
    const event = playback({ event_id: `e${i}`, playback_id: `b${i}`, profile_id: `p${i}`, event_time: Date.now() });
    const began = performance.now();
    await producer.send({ topic: world.playback, messages: [{ key: event.profile_id, value: JSON.stringify(event) }] });
    const isServed = async () =>
      (await world.pool.query('select from whence.plays where profile_id = $1', [event.profile_id])).rowCount === 1;
    while (!(await isServed())) await sleep(5);
    took.push(performance.now() - began);
  }
  await producer.disconnect();
  await layer.stop();
  // The median: tests share the machine, and a pause of it is none of ours.
  const median = took.toSorted((a, b) => a - b)[took.length / 2];
  expect(median, took.map(Math.round).join(' ')).toBeLessThan(1_000);
  await world.end();
});
