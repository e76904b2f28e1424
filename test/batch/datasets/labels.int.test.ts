import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compilePolicy } from '../../../attribution/policy.ts';
import { advance } from '../../../batch/advance-here.ts';
import { EXCLUSIONS } from '../../../batch/datasets/label.ts';
import { COLUMNS } from '../../../batch/datasets/schema.ts';
import { withValue } from '../../core/samples.ts';
import type { LogRecord } from '../../oracle/oracle.ts';
import { utcDay } from '../../oracle/order.ts';
import { crowdedWorld, world } from '../../oracle/worlds.ts';
import { type Ground, LittleWorld, openGround } from '../little-world.ts';
import { naiveExamples, naiveFeatures, type NaiveExample, type NaiveRequest } from './naive-examples.ts';
import { buildAndRead } from './read-dataset.ts';

/** So many worlds; more with the environment variable. */
const RUNS = Number(process.env['WHENCE_MODEL_RUNS'] ?? 12);
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const WINDOWS = { '1m': MINUTE, '30m': 30 * MINUTE, '24h': DAY, '30d': 30 * DAY };

/** Qualifies later, and remembers less. */
const otherPolicy = compilePolicy(
  withValue('qualified.watched', '4m', withValue('windows.discovery', { speed: '12h', batch: '36h' })),
);

let ground: Ground;
beforeAll(async () => {
  ground = await openGround();
});
afterAll(() => ground.stop());

const ask = fc.record({
  positives: fc.constantFrom<NaiveRequest['positives']>('discovery', 'discovery', 'source_of_play'),
  labelWindow: fc.constantFrom(...(Object.keys(WINDOWS) as (keyof typeof WINDOWS)[])),
  negatives: fc.constantFrom(1, 0.5, 0.1),
  seed: fc.integer({ min: -3, max: 3 }),
});

test('labels, reasons, counts and features are those of a naive reading of the rules, in covered days of hostile worlds', async () => {
  const worlds = fc.oneof({ arbitrary: world, weight: 4 }, { arbitrary: crowdedWorld, weight: 1 });
  const asks = fc.array(ask, { minLength: 2, maxLength: 2 });
  await fc.assert(
    fc.asyncProperty(worlds, asks, fc.nat(5), fc.nat(2), fc.boolean(), async (log, asks, first, more, isComplete) => {
      fc.pre(log.some(({ event }) => event.type === 'impression'));
      const little = await LittleWorld.create(ground, log);
      const range = rangeOf(log, first, more);
      await archiveAll(little, isComplete);
      await little.reconcile(...daysFrom(range));
      for (const { positives, labelWindow, negatives, seed } of asks) {
        const request = { name: 'naive', ...range, positives, labelWindow, negatives, seed };
        const { counts, rows } = await buildAndRead(little.deps, request);
        const watermark = isComplete ? Infinity : watermarkOf(log);
        const naive = naiveExamples(log, {
          ...range,
          positives,
          labelWindowMs: WINDOWS[labelWindow],
          watermark,
        });
        const kept = naive.filter((each) => isKept(each, negatives, seed));
        expect(rows.map(({ impression_id, profile_id, label }) => [profile_id, impression_id, label])).toEqual(
          inRowOrder(kept).map(({ impression, outcome }) => [
            impression.profile_id,
            impression.event_id,
            outcome === 'positive' ? 1 : 0,
          ]),
        );
        const count = (wanted: string) => naive.filter(({ outcome }) => outcome === wanted).length;
        expect(counts).toEqual({
          impressions: naive.length,
          examples: kept.length,
          positives: count('positive'),
          negatives: kept.length - count('positive'),
          sampledOut: naive.filter((each) => isExample(each) && !isKept(each, negatives, seed)).length,
          excluded: Object.fromEntries(EXCLUSIONS.map((reason) => [reason, count(reason)])),
        });
        for (const [i, row] of rows.entries()) {
          const { impression, outcome } = inRowOrder(kept)[i];
          expect(row).toEqual({
            profile_id: impression.profile_id,
            work_id: impression.series_id ?? impression.title_id,
            title_id: impression.title_id,
            impression_id: impression.event_id,
            event_time: impression.event_time,
            label: outcome === 'positive' ? 1 : 0,
            weight: outcome === 'positive' ? 1 : 1 / negatives,
            matured: watermark > impression.event_time + WINDOWS[labelWindow] + 40 * MINUTE,
            ...naiveFeatures(log, impression),
          });
        }
      }
    }),
    { numRuns: RUNS },
  );
}, 600_000);

test('all archived, complete and covered, the positives are those of an SQL query over plays and discoveries', async () => {
  let positives = 0;
  await fc.assert(
    fc.asyncProperty(world, fc.nat(5), fc.nat(2), fc.nat(3), async (log, first, more, others) => {
      fc.pre(log.some(({ event }) => event.type === 'impression'));
      const little = await LittleWorld.create(ground, log);
      const range = rangeOf(log, first, more);
      await archiveAll(little, true);
      const days = [...new Set([...little.days, ...daysFrom(range)])];
      await little.reconcile(...days);
      // Some days are computed again by another policy, and keep what it made of them.
      const ofOther = days.filter((_, i) => i % 2 < others % 2);
      const request = { days: ofOther, cause: 'test', actor: 'test', owner: 'other policy' };
      if (ofOther.length > 0) await advance({ ...little.deps, policy: otherPolicy }, request);
      const queries = {
        discovery: `
          select d.profile_id, d.sod_impression_id as impression_id
          from whence.discoveries d join whence.plays p using (play_id)
          where p.is_discovery and p.qualified and d.sod_impression_id is not null`,
        source_of_play: `
          select distinct profile_id, sop_impression_id as impression_id
          from whence.plays where qualified and sop_impression_id is not null`,
      } as const;
      const inRange = new Set(
        naiveExamples(log, { ...range, positives: 'discovery', labelWindowMs: DAY, watermark: Infinity }).map(
          ({ impression }) => JSON.stringify([impression.profile_id, impression.event_id]),
        ),
      );
      for (const kind of ['discovery', 'source_of_play'] as const) {
        const { rows } = await buildAndRead(little.deps, { name: 'sql', ...range, positives: kind, negatives: 0.1 });
        const found = rows.filter(({ label }) => label === 1);
        const { rows: asked } = await ground.pool.query<{ profile_id: string; impression_id: string }>(queries[kind]);
        const name = (row: { profile_id: string; impression_id: string }) =>
          JSON.stringify([row.profile_id, row.impression_id]);
        expect(found.map(name).sort()).toEqual(
          asked
            .map(name)
            .filter((each) => inRange.has(each))
            .sort(),
        );
        positives += found.length;
      }
    }),
    { numRuns: RUNS },
  );
  expect(positives).toBeGreaterThan(0);
}, 600_000);

test('an example has the columns of the schema, and no other', async () => {
  const log = fc.sample(world, { numRuns: 1, seed: 1 })[0];
  const little = await LittleWorld.create(ground, log);
  await little.finish();
  for (const day of little.days) {
    const { rows } = await buildAndRead(little.deps, { name: 'columns', from: day, to: day });
    for (const row of rows) expect(Object.keys(row)).toEqual(COLUMNS.map(({ name }) => name));
  }
});

async function archiveAll(little: LittleWorld, isComplete: boolean): Promise<void> {
  for (const partition of little.partitions) await little.stream(partition, Infinity);
  for (const { topic, partition } of little.places) {
    await little.archive(topic, partition, Infinity);
    if (isComplete) await little.fallQuiet(topic, partition);
  }
}

/** The greatest event time of each topic-partition, the smallest of these. */
function watermarkOf(log: readonly LogRecord[]): number {
  const greatest = new Map<string, number>();
  for (const { topic, partition, event } of log) {
    const place = `${topic}/${partition}`;
    greatest.set(place, Math.max(greatest.get(place) ?? -Infinity, event.event_time));
  }
  return Math.min(...greatest.values());
}

/** Some days, the first of them with an impression. */
function rangeOf(log: readonly LogRecord[], first: number, more: number): { from: string; to: string } {
  const times = log.filter(({ event }) => event.type === 'impression').map(({ event }) => event.event_time);
  const days = [...new Set(times.map(utcDay))].sort();
  const from = days[first % days.length];
  return { from, to: utcDay(Date.parse(from) + more * DAY) };
}

function daysFrom({ from, to }: { from: string; to: string }): string[] {
  const days: string[] = [];
  for (let time = Date.parse(from); time <= Date.parse(to); time += DAY) days.push(utcDay(time));
  return days;
}

function isExample({ outcome }: NaiveExample): boolean {
  return outcome === 'positive' || outcome === 'negative';
}

/** The sampling as the manifest has it in words. */
function isKept(example: NaiveExample, rate: number, seed: number): boolean {
  if (example.outcome !== 'negative') return example.outcome === 'positive';
  const { profile_id, event_id } = example.impression;
  const hash = createHash('sha256').update(`${seed}\0${profile_id}\0${event_id}`).digest('hex').slice(0, 16);
  return Number(BigInt(`0x${hash}`)) < rate * 2 ** 64;
}

/** By bucket, profile, work, time, id; texts by their bytes. */
function inRowOrder(examples: readonly NaiveExample[]): NaiveExample[] {
  const bytes = (text: string) => Buffer.from(text).toString('hex');
  const place = ({ impression }: NaiveExample) => {
    const { profile_id, series_id, title_id, event_time, event_id } = impression;
    const bucket = createHash('sha256').update(profile_id).digest('hex').slice(0, 2);
    // A blank is before every digit, so that a text that goes on comes later.
    const texts = [bucket, bytes(profile_id), bytes(series_id ?? title_id), String(event_time).padStart(16, '0')];
    return [...texts, bytes(event_id)].join(' ');
  };
  return [...examples].sort((a, b) => (place(a) < place(b) ? -1 : 1));
}
