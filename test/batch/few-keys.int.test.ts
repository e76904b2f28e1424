import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { asObjects, readFiles } from '../../archive/manifest.ts';
import { beginAttempt } from '../../batch/begin-attempt.ts';
import { takeRows } from '../../batch/by-name.ts';
import { computeUnit } from '../../batch/compute-unit.ts';
import { parquet, rowsOf, withEngineAndFiles } from '../../batch/engine.ts';
import { impression, playback } from '../core/samples.ts';
import type { LogRecord } from '../oracle/oracle.ts';
import { world } from '../oracle/worlds.ts';
import { expectServed } from '../streaming/served.ts';
import { type Ground, LittleWorld, openGround } from './little-world.ts';
import { plainLog } from './plain-worlds.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const NOON = Date.UTC(2025, 10, 24, 12);

let ground: Ground;
beforeAll(async () => {
  ground = await openGround();
});
afterAll(() => ground.stop());

/** An attempt with all units computed, up to so many keys by name: its dirty keys, the new copies, and what was staged. */
async function attempted(little: LittleWorld, days: readonly string[], few: number) {
  const deps = { ...little.deps, few };
  const owner = `up to ${few}`;
  const { attempt, units } = await beginAttempt(deps, { days, cause: 'test', actor: 'test', owner });
  for (let unit = 0; unit < units; unit++) await computeUnit(deps, attempt, unit);
  const query = async (sql: string) => (await ground.pool.query<Record<string, unknown>>(sql, [attempt])).rows;
  const [{ copies }] = await query('select copies from whence.batch_attempts where attempt = $1');
  const places = await withEngineAndFiles(deps, async (engine, lease) => {
    const paths = await lease.take((copies as string[]).map((key) => ({ key })));
    return paths.length === 0 ? [] : rowsOf(engine, `select * from ${parquet(paths)} order by all`);
  });
  const dirty = await query(
    `select to_jsonb(d) - 'attempt' as key from whence.batch_dirty_keys d where attempt = $1 order by 1`,
  );
  const staged = await query(
    `select to_jsonb(s) - 'attempt' as play from whence.batch_staged_plays s where attempt = $1 order by 1`,
  );
  return { places, dirty, staged };
}

/** With everything looked for by name, a little of it, and nothing. */
async function everyWay(little: LittleWorld, days: readonly string[]) {
  const byName = await attempted(little, days, Infinity);
  expect(await attempted(little, days, 2)).toEqual(byName);
  expect(await attempted(little, days, 0)).toEqual(byName);
  return byName;
}

test('keys that are looked for by name have the copies, the dirty keys and the plays that they have among all', async () => {
  const met = { copies: 0, dirty: 0, plays: 0 };
  await fc.assert(
    fc.asyncProperty(fc.oneof(world, plainLog), fc.double({ min: 0.1, max: 0.9, noNaN: true }), async (log, part) => {
      fc.pre(log.length > 1);
      const little = await LittleWorld.create(ground, log);
      for (const { topic, partition } of little.places) {
        await little.archive(topic, partition, Math.ceil(little.recordsOf(topic, partition).length * part));
      }
      const [first, ...later] = little.days;
      await little.reconcile(first, ...later);
      for (const { topic, partition } of little.places) await little.archive(topic, partition, Infinity);
      const { places, dirty, staged } = await everyWay(little, later.slice(0, 1));
      met.copies += places.length;
      met.dirty += dirty.length;
      met.plays += staged.length;
    }),
    { numRuns: 12, seed: 7 },
  );
  expect(Math.min(...Object.values(met))).toBeGreaterThan(0);
}, 240_000);

const KEY = { profile_id: `o'neill`, title_id: `it's`, series_id: null };
const play = { ...playback({ origin: null, kind: null, muted_autoplay: null }), ...KEY, playback_id: 'b' };
/** Watched on and on for three days, then an impression a month before, an event that was missing, and copies of both kinds. */
const chain = Array.from({ length: 160 }, (_, i) => ({
  ...play,
  event_id: `e'${i}`,
  event_time: NOON + i * 28 * MINUTE,
  action: i === 0 ? ('start' as const) : ('heartbeat' as const),
}));
const shown = impression({ ...KEY, event_id: `i'1`, event_time: NOON - 29 * 24 * HOUR, token: null });
const other = { ...play, profile_id: 'another', event_id: `e'3`, event_time: NOON };

test('names with quotes, a play of three days, an impression of a month before and copies: as among all', async () => {
  const before = [shown, other, ...chain.filter((_, i) => i !== 80)];
  const late = [chain[80], chain[5], { ...shown, event_time: NOON - HOUR }, chain[80]];
  const log: LogRecord[] = [...before, ...late].map((event, offset) => ({ topic: 't', partition: 0, offset, event }));
  const little = await LittleWorld.create(ground, log);
  await little.stream(0, Infinity);
  await little.archive('t', 0, before.length);
  await little.fallQuiet('t', 0);
  await little.reconcile(...little.days);
  await little.archive('t', 0, Infinity);
  const { places, dirty, staged } = await everyWay(little, []);
  expect(places).toHaveLength(3);
  expect(dirty).toHaveLength(1);
  expect(staged).toEqual([{ play: expect.objectContaining({ profile_id: `o'neill`, work_id: `it's` }) }]);
  await little.finish();
  await expectServed(ground.pool, log, 'batch');
});

test('rows that are too many to be read one by one are the same', async () => {
  const log = chain.map((event, offset) => ({ topic: 't', partition: 0, offset, event }));
  const little = await LittleWorld.create(ground, log);
  for (let i = 0; i < 4; i++) await little.archive('t', 0, 40);
  const objects = asObjects(await readFiles(ground.pool));
  const offsets = await withEngineAndFiles(little.deps, async (engine, lease) => {
    const paths = await lease.take(objects);
    const asked = { where: `event_id > 'e''5'`, of: '"offset" % 3 = 1' };
    await takeRows(engine, 'few', paths, asked);
    await takeRows(engine, 'many', paths, { ...asked, fewRows: 0 });
    const [few, many] = [
      await rowsOf(engine, 'from few order by "offset"'),
      await rowsOf(engine, 'from many order by "offset"'),
    ];
    expect(few).toEqual(many);
    return few.map((row) => (row as { offset: number }).offset);
  });
  expect(offsets).toEqual(
    log.filter(({ event, offset }) => event.event_id > `e'5` && offset % 3 === 1).map(({ offset }) => offset),
  );
});
