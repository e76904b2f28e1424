import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Event } from '../../../attribution/events.ts';
import { COLUMNS, type Example } from '../../../batch/datasets/schema.ts';
import type { LogRecord } from '../../oracle/oracle.ts';
import { utcDay } from '../../oracle/order.ts';
import { world } from '../../oracle/worlds.ts';
import { type Ground, LittleWorld, openGround } from '../little-world.ts';
import { buildAndRead } from './read-dataset.ts';

const RUNS = Number(process.env['WHENCE_MODEL_RUNS'] ?? 8);

let ground: Ground;
beforeAll(async () => {
  ground = await openGround();
});
afterAll(() => ground.stop());

test('a future event appended to the input changes no byte of earlier features', async () => {
  let compared = 0;
  const appended = fc.record({ like: fc.nat(), at: fc.nat(), after: fc.constantFrom(0, 1, 60_000) });
  await fc.assert(
    fc.asyncProperty(world, fc.nat(5), fc.array(appended, { minLength: 1, maxLength: 3 }), async (log, first, more) => {
      fc.pre(log.some(({ event }) => event.type === 'impression'));
      const times = log.map(({ event }) => event.event_time).sort((a, b) => a - b);
      // From about the middle on.
      const future = more.map(({ like, at, after }, i) => {
        const time = times[Math.floor(times.length / 2) + (at % Math.ceil(times.length / 2))] + after;
        return { ...log[like % log.length].event, event_id: `future ${i}`, event_time: time };
      });
      const earliest = Math.min(...future.map((event) => event.event_time));
      const days = [
        ...new Set(log.filter(({ event }) => event.type === 'impression').map(({ event }) => utcDay(event.event_time))),
      ];
      const day = days.sort()[first % days.length];
      const before = await featuresOf(log, day, earliest);
      const after = await featuresOf([...log, ...appendedTo(log, future)], day, earliest);
      for (const [impression, bytes] of before) {
        const other = after.get(impression);
        // Its label may have become a reason to leave it out.
        if (other === undefined) continue;
        expect(other).toEqual(bytes);
        compared++;
      }
    }),
    { numRuns: RUNS },
  );
  expect(compared).toBeGreaterThan(0);
}, 600_000);

/** By impression, the features of rows up to a time as text: equal where every byte is. */
async function featuresOf(log: readonly LogRecord[], day: string, until: number): Promise<Map<string, string>> {
  const little = await LittleWorld.create(ground, log);
  for (const { topic, partition } of little.places) {
    await little.archive(topic, partition, Infinity);
    await little.fallQuiet(topic, partition);
  }
  await little.reconcile(day);
  const { rows } = await buildAndRead(little.deps, { name: 'future', from: day, to: day });
  const known = rows.filter((row) => row.event_time <= until);
  return new Map(known.map((row) => [`${row.profile_id} ${row.impression_id}`, features(row)]));
}

function features(row: Example): string {
  const columns = COLUMNS.filter(({ role }) => role === 'feature');
  return JSON.stringify(Object.fromEntries(columns.map(({ name }) => [name, row[name]])));
}

/** At the end of the topic-partitions that events of their type stand in. */
function appendedTo(log: readonly LogRecord[], events: readonly Event[]): LogRecord[] {
  return events.map((event, i) => {
    const like = log.findLast((record) => record.event.type === event.type);
    const { topic, partition } = like ?? log[log.length - 1];
    const offset = log.filter((record) => record.topic === topic && record.partition === partition).length;
    const earlier = events.slice(0, i).filter(({ type }) => type === event.type).length;
    return { topic, partition, offset: offset + earlier, event };
  });
}
