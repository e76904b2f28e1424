import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { prefixOf } from '../../archive/file.ts';
import type { Event } from '../../attribution/events.ts';
import { beginAttempt } from '../../batch/begin-attempt.ts';
import { commitAttempt } from '../../batch/commit-attempt.ts';
import { computeUnit } from '../../batch/compute-unit.ts';
import { buildHere } from '../../batch/datasets/build-here.ts';
import { beginDataset } from '../../batch/datasets/begin-dataset.ts';
import { listDatasets } from '../../batch/datasets/list-datasets.ts';
import { verifyDataset } from '../../batch/datasets/verify-dataset.ts';
import { recordCorrections } from '../../batch/record-corrections.ts';
import { prune, type PruneSummary } from '../../batch/retention/prune.ts';
import type { PruneStep, Retention } from '../../batch/retention/retention.ts';
import { release, rollback } from '../../batch/rollback.ts';
import { NoSuchObjectError } from '../../platform/storage.ts';
import { impression, playback } from '../core/samples.ts';
import type { LogRecord } from '../oracle/oracle.ts';
import { expectRollup, expectServed } from '../streaming/served.ts';
import { type Ground, LittleWorld, openGround } from './little-world.ts';

const MINUTE = 60_000;
const DAY_MS = 24 * 60 * MINUTE;
const FIRST = Date.parse('2025-11-24T00:00:00Z');
const DAYS = ['2025-11-24', '2025-11-25', '2025-11-26', '2025-11-27', '2025-11-28'];

let ground: Ground;
let little: LittleWorld;
beforeAll(async () => {
  ground = await openGround();
});
afterAll(() => ground.stop());

function played(profile_id: string, id: string, at: number, minutes: number): Event[] {
  const key = { profile_id, title_id: 'w', series_id: null };
  const play = { ...playback({ origin: null, kind: null, muted_autoplay: null }), ...key, playback_id: id };
  return [
    impression({ ...key, event_id: `${id}-seen`, event_time: at - MINUTE }),
    { ...play, event_id: `${id}-start`, event_time: at, action: 'start' },
    { ...play, event_id: `${id}-beat`, event_time: at + MINUTE, action: 'heartbeat' },
    { ...play, event_id: `${id}-stop`, event_time: at + minutes * MINUTE, action: 'stop' },
  ];
}

/** On each day a play at noon and one over midnight; then, late, the end of the second day's first and another play of it. */
const plays = DAYS.flatMap((_, day) => [
  ...played('ann', `noon-${day}`, FIRST + day * DAY_MS + 12 * 60 * MINUTE, 5),
  ...played('bob', `night-${day}`, FIRST + day * DAY_MS + 23.9 * 60 * MINUTE, 20),
]).sort((a, b) => a.event_time - b.event_time);
const NOON = FIRST + DAY_MS + 12 * 60 * MINUTE;
const late = [...played('ann', 'noon-1', NOON, 9).slice(-1), ...played('cid', 'late', NOON, 4)].map((event): Event => ({
  ...event,
  event_id: `${event.event_id}, late`,
}));
/** In a partition where little comes: a play of the first day, and, long after all that, one of the third. */
const rare = [
  ...played('eve', 'rare', FIRST + 9 * 60 * MINUTE, 5),
  ...played('eve', 'again', FIRST + 2 * DAY_MS + 9 * 60 * MINUTE, 5),
];
const inPartition = (partition: number, events: readonly Event[]): LogRecord[] =>
  events.map((event, offset) => ({ topic: 'events', partition, offset, event }));
const log = [...inPartition(0, [...plays, ...late]), ...inPartition(1, rare)];

const KEEP_ALL: Retention = {
  versions: Infinity,
  attempts: Infinity,
  datasets: Infinity,
  speedPlays: Infinity,
  grace: Infinity,
};
/** Days are long over, and so is the time since a partition fell quiet. */
const SPEED = { ...KEEP_ALL, versions: 0, speedPlays: 100 * DAY_MS };

function pruned(retention: Partial<Retention>, more: Partial<Parameters<typeof prune>[1]> = {}): Promise<PruneSummary> {
  const isRunning = () => Promise.resolve(false);
  return prune(little.deps, { retention: { ...KEEP_ALL, ...retention }, isRunning, ...more });
}

async function rows<Row extends object>(sql: string): Promise<Row[]> {
  return (await ground.pool.query<Row>(sql)).rows;
}

async function kept(): Promise<number[]> {
  return (await rows<{ version: number }>('select version from whence.versions where kept order by 1')).map(
    ({ version }) => version,
  );
}

const asOf = (version: number) => rows(`select * from whence.plays_as_of(${version}) order by play_id`);
const served = () => rows('select * from whence.plays order by play_id');

/** Has a version have been committed so many days ago, and what was committed before it a day earlier each. */
async function ageVersions(): Promise<void> {
  await ground.pool.query(
    `update whence.batch_versions set committed_at = now() - make_interval(days => (
       select max(version) from whence.batch_versions)::integer - version::integer)`,
  );
}

beforeEach(async () => {
  little = await LittleWorld.create(ground, log);
  await little.stream(0, plays.length);
  await little.stream(1, 4);
  await little.archive('events', 0, plays.length);
  await little.archive('events', 1, 4);
  await fallQuiet();
});

/** The partition where little comes has been quiet for long. */
async function fallQuiet(): Promise<void> {
  for (const partition of little.partitions) await little.fallQuiet('events', partition);
  await ground.pool.query(
    `update whence.archive_tasks set quiet_since = now() - interval '400 days' where partition = 1`,
  );
}

async function reconcile(...days: string[]): Promise<void> {
  await little.reconcile(...days);
  await recordCorrections(little.deps);
}

/** Each day is a version, 1 to 5, the third of them with what came late; the sixth is the last day once more. */
async function commitDays(): Promise<void> {
  for (const day of DAYS) {
    if (day === DAYS[2]) {
      await little.stream(0, Infinity);
      await little.archive('events', 0, Infinity);
      await fallQuiet();
    }
    await reconcile(day);
  }
  await reconcile(DAYS[4]);
}

test('kept is what was current of late, and all that is newer; the rest can no longer be read or gone back to', async () => {
  await commitDays();
  const before = await Promise.all([4, 5, 6].map(asOf));
  const all = await served();
  await ageVersions();
  // Version 4 was current until version 5 came, a day ago.
  const { versions } = await pruned({ versions: 1.5 * DAY_MS });
  expect(versions).toMatchObject({ versions: 3, oldestKept: 4 });
  expect(versions.count).toBeGreaterThan(0);
  expect(await kept()).toEqual([4, 5, 6]);
  expect(await Promise.all([4, 5, 6].map(asOf))).toEqual(before);
  expect(await served()).toEqual(all);
  await expect(asOf(3)).rejects.toThrow(/Version 3 was removed by retention; the oldest that is kept is 4/);
  await expect(rollback(little.deps, 3, 'ann')).rejects.toThrow(
    /Version 3 was removed by retention; the oldest that is kept is 4; versions that are kept: 4, 5, 6/,
  );
  expect(await rows('select from whence.batch_plays where to_version <= 4')).toEqual([]);
  await rollback(little.deps, 4, 'ann');
  expect(await asOf(4)).toEqual(before[0]);
  await expectRollup(ground.pool);
  expect((await pruned({ versions: 1.5 * DAY_MS })).versions).toMatchObject({ versions: 0, count: 0 });
});

test('a version that is held, and whatever is newer, stays; so does what an attempt or a build works from', async () => {
  await commitDays();
  await rollback(little.deps, 4, 'ann');
  expect((await pruned({ versions: 0 })).versions).toMatchObject({ versions: 3, oldestKept: 4 });
  await release(little.deps, 'ann');
  const request = { days: [DAYS[4]], cause: 'test', actor: 'test', owner: 'slow' };
  await beginAttempt(little.deps, request);
  const dataset = { name: 'rows', from: DAYS[0], to: DAYS[0], actor: 'test', owner: 'builder' };
  const { build } = await beginDataset(little.deps, dataset);
  await little.reconcile(DAYS[4]);
  await little.reconcile(DAYS[4]);
  expect((await pruned({ versions: 0 })).versions).toMatchObject({ versions: 0, oldestKept: 4 });
  await ground.pool.query('delete from whence.batch_attempts where owner = $1', ['slow']);
  expect((await pruned({ versions: 0 })).versions.oldestKept).toBe(4);
  await ground.pool.query('delete from whence.dataset_builds where build = $1', [build]);
  expect((await pruned({ versions: 0 })).versions).toMatchObject({ versions: 4, oldestKept: 9 });
});

test('speed plays go once every kept version covers their days, and what is served stays, even when the watermark falls', async () => {
  await commitDays();
  const before = await served();
  expect((await pruned({ speedPlays: SPEED.speedPlays })).speedPlays).toMatchObject({ days: [], count: 0 });
  const { speedPlays } = await pruned(SPEED);
  // The first and the last day have a neighbour that is not covered.
  expect(speedPlays.days).toEqual(DAYS.slice(1, 4));
  expect(speedPlays.count).toBeGreaterThan(4);
  expect(await served()).toEqual(before);
  await expectRollup(ground.pool);
  // What comes now in the quiet partition is dated on the third day: the watermark was infinity, and falls to it.
  await little.archive('events', 1, Infinity);
  await ground.pool.query('update whence.archive_tasks set quiet_since = null where partition = 1');
  await little.reconcile(DAYS[0]);
  const [{ watermark }] = await rows<{ watermark: Date }>('select watermark from whence.versions where current');
  expect(watermark.getTime()).toBe(rare.at(-1)?.event_time);
  const after = await served();
  expect(after.length).toBe(before.length + 1);
  await expectRollup(ground.pool);
  await little.finish();
  await recordCorrections(little.deps);
  await expectServed(ground.pool, log, 'batch');
  expect(await rows(`select * from whence.corrections where cause = 'unexplained'`)).toEqual([]);
});

test('speed plays stay where an event on time may still come, or what is near is not covered; it says which', async () => {
  await reconcile(...DAYS);
  await ground.pool.query('update whence.archive_tasks set quiet_since = now() where partition = 1');
  const { speedPlays } = await pruned(SPEED);
  expect(speedPlays).toMatchObject({ days: [], count: 0 });
  expect(speedPlays.heldBack).toBe(
    '2025-11-25: what is on time may still come near it (events/1 is read and archived up to 2025-11-24 09:05)',
  );
});

test('a dry run says what would go, and changes nothing', async () => {
  await reconcile(...DAYS.slice(0, 3));
  await reconcile(...DAYS);
  const { attempt } = await beginAttempt(little.deps, { days: [DAYS[4]], cause: 't', actor: 't', owner: 'gone' });
  await computeUnit(little.deps, attempt, 0);
  await ground.pool.query(`update whence.batch_attempts set begun_at = now() - interval '2 days'`);
  const retention = { ...SPEED, attempts: DAY_MS, grace: 0 };
  const tables = ['batch_versions', 'batch_plays', 'speed_plays', 'settled_days', 'removed_objects', 'batch_attempts'];
  const state = () => Promise.all(tables.map((table) => rows(`select * from whence.${table} order by 1, 2`)));
  const before = await state();
  const said = await pruned(retention, { dryRun: true });
  expect(await state()).toEqual(before);
  const done = await pruned(retention);
  expect(said.attempts).toEqual(done.attempts);
  expect(said.attempts.bytes).toBeGreaterThan(100);
  // The attempt still held its version when the rest was looked at: that it would go was not foreseen.
  expect(said.versions).toMatchObject({ versions: 1, oldestKept: 2 });
  expect(done.versions).toEqual(said.versions);
});

test('what a terminated workflow left goes, with its files; what runs, or is young, stays', async () => {
  await reconcile(...DAYS);
  const stored = async () =>
    (await ground.storage.list('')).filter((key) => !key.startsWith(prefixOf(little.installation)));
  const old = await stored();
  const request = { days: [DAYS[4]], cause: 'test', actor: 'test', owner: 'terminated' };
  const { attempt, units } = await beginAttempt(little.deps, request);
  for (let unit = 0; unit < units; unit++) await computeUnit(little.deps, attempt, unit);
  await beginAttempt(little.deps, { ...request, owner: 'running' });
  await beginDataset(little.deps, { name: 'rows', from: DAYS[0], to: DAYS[0], actor: 'test', owner: 'terminated' });
  const isRunning = (owner: string) => Promise.resolve(owner === 'running');
  expect(await pruned({ attempts: DAY_MS }, { isRunning })).toMatchObject({ attempts: { count: 0 } });
  const done = await pruned({ attempts: 0 }, { isRunning });
  expect(done).toMatchObject({ attempts: { count: 1 }, builds: { count: 1 } });
  expect(await rows('select owner from whence.batch_attempts where committed is null')).toEqual([{ owner: 'running' }]);
  expect(await rows(`select from whence.batch_staged_plays where attempt = ${attempt}`)).toEqual([]);
  await expect(commitAttempt(little.deps, attempt)).rejects.toThrow('is no longer open');
  expect(await stored()).toEqual(old);
});

test('a list of copies that no version has goes after the grace, and an attempt that began too slowly begins again', async () => {
  await reconcile(...DAYS);
  await ground.pool.query('delete from whence.batch_attempts');
  const key = `batch/${little.installation}/copies/unused.parquet`;
  await ground.storage.put(key, Buffer.from('nothing'));
  expect((await pruned({ grace: DAY_MS })).noted).toEqual({ count: 1, bytes: 7 });
  expect(await ground.storage.exists(key)).toBe(true);
  // Somebody refers to it by now.
  await ground.pool.query('update whence.batch_versions set copies = array[$1] where version = 1', [key]);
  expect((await pruned({ grace: 0 })).files.count).toBe(0);
  expect(await ground.storage.exists(key)).toBe(true);
  await ground.pool.query(`update whence.batch_versions set copies = '{}'`);
  expect(await pruned({ grace: 0 })).toMatchObject({ noted: { count: 1 }, files: { count: 1, bytes: 7 } });
  expect(await ground.storage.exists(key)).toBe(false);
  await ground.pool.query('update whence.batch_versions set copies = array[$1] where version = 1', [key]);
  const begun = beginAttempt(little.deps, { days: [DAYS[4]], cause: 't', actor: 't', owner: 'slow' });
  await expect(begun).rejects.toThrow(NoSuchObjectError);
});

test('datasets go but the latest of each name; their files stay for whoever still reads them', async () => {
  await reconcile(...DAYS);
  const request = { name: 'rows', from: DAYS[0], to: DAYS[0], actor: 'test', owner: 'builder' };
  const [first, second] = [await buildHere(little.deps, request), await buildHere(little.deps, request)];
  await buildHere(little.deps, { ...request, name: 'other' });
  expect((await pruned({ datasets: DAY_MS })).datasets.count).toBe(0);
  const { datasets, files } = await pruned({ datasets: 0, grace: DAY_MS });
  expect(datasets.count).toBe(1);
  expect(files.count).toBe(0);
  const folder = `datasets/${little.installation}/rows/v1/`;
  expect(await ground.storage.list(folder)).toHaveLength(2);
  expect((await listDatasets(ground.pool)).map(({ name, version, status }) => `${name} ${version} ${status}`)).toEqual([
    'other 1 published',
    'rows 1 removed',
    'rows 2 published',
  ]);
  await expect(verifyDataset(little.deps, 'rows', 1)).rejects.toThrow(/no published version 1/);
  expect((await pruned({ grace: 0 })).files).toEqual({ count: 2, bytes: datasets.bytes });
  expect(await ground.storage.list(folder)).toEqual([]);
  expect((await verifyDataset(little.deps, 'rows')).faults).toEqual([]);
  expect((await buildHere(little.deps, request)).version).toBe(3);
  expect([first.version, second.version]).toEqual([1, 2]);
});

const STEPS: PruneStep[] = ['builds', 'datasets', 'versions marked', 'days settled', 'object deleted'];

test('killed −9 at every step, nothing is lost that is needed, and the next one ends it', async () => {
  await commitDays();
  const request = { name: 'rows', from: DAYS[0], to: DAYS[0], actor: 'test', owner: 'builder' };
  await buildHere(little.deps, request);
  const { manifestSha256 } = await buildHere(little.deps, request);
  const { attempt } = await beginAttempt(little.deps, { days: [DAYS[4]], cause: 't', actor: 't', owner: 'gone' });
  await computeUnit(little.deps, attempt, 0);
  await ageVersions();
  const [all, current] = [await served(), await asOf(6)];
  const retention = JSON.stringify({ ...SPEED, attempts: 0, datasets: 0, grace: 0 });
  const script = fileURLToPath(new URL('crashing-prune.ts', import.meta.url));
  const run = (step: string) =>
    execa(process.execPath, ['--import', 'tsx', script, step, retention], {
      env: { DATABASE_URL: ground.databaseUrl, WHENCE_DATA_DIR: path.join(ground.directory, 'data') },
      reject: false,
    });
  for (const step of STEPS) {
    expect(await run(step)).toMatchObject({ stdout: `killed at: ${step}`, signal: 'SIGKILL' });
    expect(await served()).toEqual(all);
    expect(await asOf(6)).toEqual(current);
    await expectRollup(ground.pool);
  }
  expect(await run('none')).toMatchObject({ exitCode: 0 });
  expect(await kept()).toEqual([6]);
  expect(await rows('select from whence.batch_plays where to_version <= 6')).toEqual([]);
  expect(
    await rows('select from whence.speed_plays where day = any (array(select day from whence.settled_days))'),
  ).toHaveLength(
    // Those over the last midnight have an event in a day that is not settled.
    1,
  );
  expect(await rows('select from whence.removed_objects')).toEqual([]);
  expect(await ground.storage.list(`datasets/${little.installation}/rows/v1/`)).toEqual([]);
  expect(await verifyDataset(little.deps, 'rows')).toMatchObject({ version: 2, faults: [] });
  expect(manifestSha256).toMatch(/^[0-9a-f]{64}$/);
  await little.finish();
  await expectServed(ground.pool, log, 'batch');
}, 120_000);
