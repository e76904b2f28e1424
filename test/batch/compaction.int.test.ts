import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { prefixOf } from '../../archive/file.ts';
import { asObjects, readFiles } from '../../archive/manifest.ts';
import { removeOrphans } from '../../archive/orphans.ts';
import { rebuildManifest } from '../../archive/rebuild.ts';
import type { Event } from '../../attribution/events.ts';
import { beginAttempt } from '../../batch/begin-attempt.ts';
import { parquet, rowsOf, withEngineAndFiles } from '../../batch/engine.ts';
import { compactArchive } from '../../batch/retention/compact.ts';
import { prune } from '../../batch/retention/prune.ts';
import { release, rollback } from '../../batch/rollback.ts';
import { impression, playback } from '../core/samples.ts';
import type { LogRecord } from '../oracle/oracle.ts';
import { expectServed } from '../streaming/served.ts';
import { type Ground, LittleWorld, openGround } from './little-world.ts';

const MINUTE = 60_000;
const DAY = '2025-11-24';
const NEXT = '2025-11-25';
const MORNING = Date.parse(`${DAY}T06:00:00Z`);

let ground: Ground;
let little: LittleWorld;
beforeAll(async () => {
  ground = await openGround();
});
afterAll(() => ground.stop());

/** Each hour of two days somebody sees something and plays it; a copy of each start comes some hours later. */
const events = Array.from({ length: 36 }, (_, hour): Event[] => {
  const at = MORNING + hour * 60 * MINUTE;
  const key = { profile_id: `p${hour % 3}`, title_id: `w${hour % 2}`, series_id: null };
  const play = { ...playback({ origin: null, kind: null, muted_autoplay: null }), ...key, playback_id: `b${hour}` };
  return [
    impression({ ...key, event_id: `i${hour}`, event_time: at - MINUTE }),
    { ...play, event_id: `s${hour}`, event_time: at, action: 'start' },
    { ...play, event_id: `e${hour}`, event_time: at + 4 * MINUTE, action: 'stop' },
  ];
});
const log: LogRecord[] = events
  .flatMap((ofHour, hour) => [...ofHour, ...(events[hour - 5]?.slice(1, 2) ?? [])])
  .map((event, offset) => ({ topic: 'events', partition: 0, offset, event }));

/** A version that covers the first day, of its first half; then all the rest, in files of four records. */
const HALF = 40;
beforeEach(async () => {
  little = await LittleWorld.create(ground, log);
  for (const key of await ground.storage.list(prefixOf(little.installation))) await ground.storage.delete(key);
  await little.stream(0, Infinity);
  for (let i = 0; i < log.length; i += 4) {
    await little.archive('events', 0, 4);
    if (i + 4 === HALF) await little.reconcile(DAY);
  }
  await little.fallQuiet('events', 0);
});

const files = () => readFiles(ground.pool);
const ranges = async () => (await files()).map(({ from, to }) => [from, to]);

/** All rows that the manifest names, by place. */
async function archived(): Promise<unknown[]> {
  const objects = asObjects(await files());
  return withEngineAndFiles(little.deps, async (engine, lease) =>
    rowsOf(engine, `select * from ${parquet(await lease.take(objects))} order by "offset"`),
  );
}

async function rebuilt(): Promise<unknown[]> {
  return (await rebuildManifest(ground.storage, little.installation)).files;
}

const withoutNumber = async () =>
  (await files()).map((named) => {
    const { file: _, ...entry } = named;
    return entry;
  });

function deleteReplaced(): Promise<unknown> {
  const retention = { versions: Infinity, attempts: Infinity, datasets: Infinity, speedPlays: Infinity, grace: 0 };
  return prune(little.deps, { retention, isRunning: () => Promise.resolve(false) });
}

test('small files become few, no row is lost or doubled, and what is computed from them is the same', async () => {
  const before = await archived();
  const many = (await files()).length;
  const { merged, into } = await compactArchive(little.deps);
  expect({ merged, into }).toEqual({ merged: many - 1, into: 3 });
  const [end] = (await ranges()).slice(-1);
  // No file reaches over the end of the version's snapshot, nor into another day; the last file stays.
  expect((await ranges()).slice(0, 2)).toEqual([
    [0, HALF],
    [HALF, 68],
  ]);
  expect(end).toEqual([log.length - (log.length % 4 || 4), log.length]);
  expect(await archived()).toEqual(before);
  expect(await compactArchive(little.deps)).toEqual({ merged: 0, into: 0 });
  await little.reconcile(DAY, NEXT);
  await expectServed(ground.pool, [...log], 'batch');
  // From the snapshot within: what came since is still what came since.
  await rollback(little.deps, 1, 'ann');
  await release(little.deps, 'ann');
  await little.reconcile(DAY, NEXT);
  await expectServed(ground.pool, [...log], 'batch');
});

test('from the storage alone the manifest is the same, before and after the files go that were replaced', async () => {
  const all = await ground.storage.list(prefixOf(little.installation));
  await compactArchive(little.deps);
  const manifest = await withoutNumber();
  expect(await rebuilt()).toEqual(manifest);
  // The archiver's start takes what is not in the manifest for orphans, but not these: somebody may be reading them.
  await removeOrphans(ground.storage, prefixOf(little.installation), ground.pool, 0);
  expect(await ground.storage.list(prefixOf(little.installation))).toEqual(expect.arrayContaining(all));
  await deleteReplaced();
  expect(await ground.storage.list(prefixOf(little.installation))).toEqual(manifest.map((file) => file.path).sort());
  expect(await rebuilt()).toEqual(manifest);
});

test('what comes later is archived on, and merged again when there is enough of it', async () => {
  await compactArchive(little.deps, { before: NEXT });
  expect(await ranges()).toEqual(expect.arrayContaining([[68, 72]]));
  await little.reconcile(DAY);
  await compactArchive(little.deps);
  await deleteReplaced();
  expect(await rebuilt()).toEqual(await withoutNumber());
  await little.finish();
  await expectServed(ground.pool, [...log], 'batch');
});

test('a snapshot that came to be meanwhile is not cut: what was merged is given up', async () => {
  const before = await ranges();
  let begun = false;
  const onStep = async () => {
    if (begun) return;
    begun = true;
    await beginAttempt(little.deps, { days: [DAY], cause: 'test', actor: 'test', owner: 'slow' });
    await ground.pool.query(
      `update whence.batch_attempts set positions = jsonb_set(positions, '{0,next}', '8') where owner = 'slow'`,
    );
  };
  await compactArchive(little.deps, { onStep });
  expect((await ranges()).slice(0, 10)).toEqual(before.slice(0, 10));
  await ground.pool.query('delete from whence.batch_attempts where committed is null');
  await compactArchive(little.deps);
  await deleteReplaced();
  expect(await rebuilt()).toEqual(await withoutNumber());
});

test('an attempt whose snapshot was cut while it began, begins again', async () => {
  await compactArchive(little.deps);
  await ground.pool.query('update whence.archive_tasks set next_offset = 8');
  const begun = beginAttempt(little.deps, { days: [DAY], cause: 'test', actor: 'test', owner: 'test' });
  await expect(begun).rejects.toThrow(/Files were merged into archive\/.* while the attempt began; it begins again/);
});

test('killed −9 at every step, no row is lost or doubled, in the manifest and in the storage alone', async () => {
  const before = await archived();
  const script = fileURLToPath(new URL('crashing-compact.ts', import.meta.url));
  for (const step of ['published', 'replacing', 'replaced', 'none']) {
    const { stdout, exitCode } = await execa(process.execPath, ['--import', 'tsx', script, step], {
      env: { DATABASE_URL: ground.databaseUrl, WHENCE_DATA_DIR: path.join(ground.directory, 'data') },
      reject: false,
    });
    expect({ stdout, exitCode }).toEqual(
      step === 'none' ? { stdout: '', exitCode: 0 } : { stdout: `killed at: ${step}`, exitCode: undefined },
    );
    expect(await archived()).toEqual(before);
    const found = (await rebuildManifest(ground.storage, little.installation)).files;
    expect(found.reduce((sum, { rows }) => sum + rows, 0)).toBe(before.length);
  }
  await removeOrphans(ground.storage, prefixOf(little.installation), ground.pool);
  await deleteReplaced();
  expect(await rebuilt()).toEqual(await withoutNumber());
  expect(await archived()).toEqual(before);
  await little.reconcile(DAY, NEXT);
  await expectServed(ground.pool, [...log], 'batch');
}, 60_000);
