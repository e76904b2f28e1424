import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSilentLayer } from './layer.ts';
import { expectServed } from './served.ts';
import { simulated, startStack, World } from './world.ts';

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

    const { rows: counted } = await world.pool.query(
      `select case topic when $1 then 'impression' else 'playback' end as topic,
         case when day > current_date - 2 and day <= current_date then null else day end as day,
         sum(consumed)::int as consumed, sum(applied)::int as applied, sum(duplicate)::int as duplicate,
         sum(late)::int as late, sum(excluded)::int as excluded, sum(dead_lettered)::int as dead_lettered
       from whence.ledger group by 1, 2 order by 1, 2`,
      [world.impressions],
    );
    const injected = ledger.expected.map((row) => ({ ...row }));
    expect(counted).toEqual(injected.sort(byTopicAndDay));
    const { rows: total } = await world.pool.query('select sum(consumed)::int as consumed from whence.ledger');
    expect(total[0].consumed).toBe(lines.length);
    const { rows: conflicts } = await world.pool.query('select sum(conflicts)::int as n from whence.ledger');
    expect(conflicts[0].n).toBe(ledger.injected.conflicts);
    await world.end();
  });
});

function byTopicAndDay(a: { topic: string; day: string | null }, b: { topic: string; day: string | null }): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1;
  const padded = (day: string | null) => (day === null ? '~' : day.padStart(20, '0'));
  return padded(a.day) < padded(b.day) ? -1 : 1;
}
