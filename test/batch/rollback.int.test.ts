import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Event } from '../../attribution/events.ts';
import { BatchRequestError, VersionHeldError } from '../../batch/errors.ts';
import { recordCorrections } from '../../batch/record-corrections.ts';
import { release, rollback, type RollbackStep } from '../../batch/rollback.ts';
import { impression, playback } from '../core/samples.ts';
import type { LogRecord } from '../oracle/oracle.ts';
import { expectRollup, expectServed } from '../streaming/served.ts';
import { type Ground, LittleWorld, openGround } from './little-world.ts';

const MINUTE = 60_000;
const DAY = '2025-11-24';
const NEXT = '2025-11-25';
const NOON = Date.parse(`${DAY}T12:00:00Z`);

let ground: Ground;
let little: LittleWorld;
beforeAll(async () => {
  ground = await openGround();
});
afterAll(() => ground.stop());

/** Six profiles with a play on each of two days; then, late, the stops of the first day. */
const onTime = Array.from({ length: 12 }, (_, i): Event[] => {
  const at = NOON + (i % 2) * 24 * 60 * MINUTE + i * MINUTE;
  const key = { profile_id: `p${i >> 1}`, title_id: `w${i % 4}`, series_id: null };
  const play = { ...playback({ origin: null, kind: null, muted_autoplay: null }), ...key, playback_id: `b${i}` };
  return [
    impression({ ...key, event_id: `i${i}`, event_time: at - MINUTE }),
    { ...play, event_id: `s${i}`, event_time: at, action: 'start' },
    { ...play, event_id: `h${i}`, event_time: at + MINUTE, action: 'heartbeat' },
  ];
})
  .flat()
  .sort((a, b) => a.event_time - b.event_time);
const late = onTime
  .filter((event) => event.type === 'playback' && event.action === 'heartbeat' && event.event_time < NOON + 60 * MINUTE)
  .map((event): Event => ({ ...event, event_id: `${event.event_id}-late`, event_time: event.event_time + 2 * MINUTE }));
const log: LogRecord[] = [...onTime, ...late].map((event, offset) => ({
  topic: 'events',
  partition: 0,
  offset,
  event,
}));

const VIEWS = {
  plays: 'play_id',
  discoveries: 'profile_id, work_id',
  credits: 'play_id, model, touch_index',
  daily_discovery: 'day, country, sod_surface, sod_row_type',
  days: 'day',
  corrections: 'generation, play_id',
};

/** All that is served, of the days as far as it does not tell what was archived since. */
async function answer(): Promise<Record<string, unknown[]>> {
  const answers: Record<string, unknown[]> = {};
  for (const [view, order] of Object.entries(VIEWS)) {
    const { rows } = await ground.pool.query<Record<string, unknown>>(`select * from whence.${view} order by ${order}`);
    answers[view] = rows.map((row) => ('dirty_keys' in row ? { ...row, dirty_keys: null } : row));
  }
  return answers;
}

async function current(): Promise<unknown> {
  const { rows } = await ground.pool.query<object>('select version, held, held_by from whence.versions where current');
  return rows[0];
}

let answers: Record<string, unknown[]>[];
/** Version 1 has the first day without its late events, 2 the second day, and 3 all. */
beforeEach(async () => {
  little = await LittleWorld.create(ground, log);
  await little.stream(0, Infinity);
  await little.archive('events', 0, onTime.length);
  await little.fallQuiet('events', 0);
  answers = [];
  for (const day of [DAY, NEXT]) {
    await little.reconcile(day);
    await recordCorrections(little.deps);
    answers.push(await answer());
  }
  await little.archive('events', 0, Infinity);
  await little.fallQuiet('events', 0);
  await little.reconcile(NEXT);
  await recordCorrections(little.deps);
  answers.push(await answer());
});

test('what is served after a rollback is what was served then, and forward again what was served last', async () => {
  expect(answers[2]['corrections']).not.toEqual(answers[1]['corrections']);
  for (const to of [2, 1, 3, 2, 3]) {
    await rollback(little.deps, to, 'ann');
    expect(await current()).toEqual({ version: to, held: true, held_by: 'ann' });
    expect(await answer()).toEqual(answers[to - 1]);
    await expectRollup(ground.pool);
  }
});

test('nothing is committed over a held version: it says who holds it, and how to let it go', async () => {
  await rollback(little.deps, 1, 'ann');
  const refused = little.reconcile(NEXT);
  await expect(refused).rejects.toThrow(VersionHeldError);
  await expect(refused).rejects.toThrow(/Version 1 is held by ann since .*; let it go with: npx whence release/);
  expect(await answer()).toEqual(answers[0]);
});

test('a release changes nothing that is served; what is computed next follows the version that was held', async () => {
  await rollback(little.deps, 1, 'ann');
  expect(await release(little.deps, 'bob')).toEqual({ version: 1, heldBy: 'ann' });
  expect(await release(little.deps, 'bob')).toEqual({ version: 1, heldBy: null });
  expect(await answer()).toEqual(answers[0]);
  const { version } = await little.reconcile(NEXT);
  await recordCorrections(little.deps);
  await expectServed(ground.pool, log, 'batch');
  const rows = async (sql: string) => (await ground.pool.query<object>(sql)).rows;
  expect(await rows('select version, undone from whence.versions order by version')).toEqual([
    { version: 1, undone: false },
    { version: 2, undone: true },
    { version: 3, undone: true },
    { version, undone: false },
  ]);
  expect(await rows(`select parent from whence.batch_versions where version = ${version}`)).toEqual([{ parent: 1 }]);
  expect(await rows('select actor, from_version, to_version, released_by from whence.rollbacks')).toEqual([
    { actor: 'ann', from_version: 3, to_version: 1, released_by: 'bob' },
  ]);
  const said = (corrections: unknown[]) =>
    corrections
      .map((row) => ({ ...(row as object), generation: null }))
      .sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  expect(said((await answer())['corrections'])).toEqual(said(answers[2]['corrections']));
});

test.each<RollbackStep>(['begun', 'written', 'settled', 'rolled back'])(
  'a rollback that ends when it is %s is whole or is not, and done again it is done once',
  async (at) => {
    const onStep = (step: RollbackStep) => {
      if (step === at) throw new Error('crash');
    };
    await expect(rollback(little.deps, 1, 'ann', { onStep })).rejects.toThrow('crash');
    expect(await answer()).toEqual(answers[at === 'rolled back' ? 0 : 2]);
    const done = await rollback(little.deps, 1, 'ann');
    expect(await rollback(little.deps, 1, 'ann')).toEqual(done);
    expect(done).toMatchObject({ version: 1, from: 3, daysChanged: 2, heldBy: 'ann' });
    expect(await answer()).toEqual(answers[0]);
  },
);

test('the speed layer commits between the steps of a rollback, and what it says is served', async () => {
  little = await LittleWorld.create(ground, log);
  const [early, middle] = [18, onTime.length - 9];
  await little.stream(0, middle);
  await little.archive('events', 0, early);
  await little.reconcile(DAY);
  await little.archive('events', 0, middle - early);
  await little.reconcile(DAY, NEXT);
  const streamed: number[] = [];
  await rollback(little.deps, 1, 'ann', {
    onStep: async (step) => {
      if (step === 'rolled back') return;
      // It would wait for a rollback that waits for this.
      await little.stream(0, 3);
      streamed.push(little.streamed.length);
      await expectRollup(ground.pool);
    },
  });
  expect(streamed).toEqual([3, 6, 9].map((more) => middle + more));
  await expectRollup(ground.pool);
  const { rows } = await ground.pool.query<{ n: number }>(
    'select count(*) as n from whence.plays p where is_discovery <> (play_id in (select play_id from whence.discoveries))',
  );
  expect(rows[0].n).toBe(0);
  // Nothing is late among these, and nothing is far apart: both layers say the same of them.
  await expectServed(ground.pool, log.slice(0, onTime.length), 'speed');
  await release(little.deps, 'ann');
  await little.finish();
  await expectRollup(ground.pool);
  await expectServed(ground.pool, log, 'batch');
});

test('a version that is none is refused, with those that there are', async () => {
  await expect(rollback(little.deps, 7, 'ann')).rejects.toThrow(BatchRequestError);
  await expect(rollback(little.deps, 7, 'ann')).rejects.toThrow(
    /There is no version 7; versions that are kept: 1, 2, 3/,
  );
});

test('the plays of every version can be read, whichever is current', async () => {
  const asOf = async (version: number) =>
    (await ground.pool.query<object>(`select * from whence.plays_as_of(${version}) order by play_id`)).rows;
  const { rows: batch } = await ground.pool.query(`select * from whence.plays order by play_id`);
  expect(batch.every((row: { layer: string }) => row.layer === 'batch')).toBe(true);
  const before = await Promise.all([1, 2, 3].map(asOf));
  expect(before[2]).toEqual(batch);
  expect(before[0].length).toBe(6);
  await rollback(little.deps, 1, 'ann');
  expect(await Promise.all([1, 2, 3].map(asOf))).toEqual(before);
  await expect(asOf(4)).rejects.toThrow(/There is no version 4; the versions that are kept: select version from/);
  await ground.pool.query('update whence.batch_versions set removed_at = now() where version = 2');
  await expect(asOf(2)).rejects.toThrow(/Version 2 was removed by retention/);
  await expect(rollback(little.deps, 2, 'ann')).rejects.toThrow(/Version 2 was removed by retention/);
  const { rows } = await ground.pool.query('select * from whence.discoveries_as_of(3) order by profile_id, work_id');
  const { rows: discoveries } = await ground.pool.query(
    'select * from whence.discoveries order by profile_id, work_id',
  );
  expect(rows).toEqual(answers[2]['discoveries']);
  expect(discoveries).toEqual(answers[0]['discoveries']);
});
