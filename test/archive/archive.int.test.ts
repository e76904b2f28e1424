import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bucketOf } from '../../archive/bucket.ts';
import { readFiles, readPositions, watermarkOf } from '../../archive/manifest.ts';
import { RecordsLostError, TopicRecreatedError } from '../../streaming/errors.ts';
import { ended, simulated, startStack, World } from '../streaming/world.ts';
import {
  archiveAll,
  archivedRows,
  createSilentArchiver,
  expectArchived,
  expectManifest,
  expectRebuilt,
  manifestOf,
} from './archive-world.ts';

let stack: Awaited<ReturnType<typeof startStack>>;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.stop());

const NOW = Date.now();
const DAY = 86_400_000;
const impression = {
  type: 'impression',
  event_id: 'i1',
  event_time: NOW - 60_000,
  profile_id: 'p1',
  country: 'US',
  device_type: 'tv',
  page_view_id: 'pv1',
  page: 'home',
  row_type: 'trending',
  row_id: 'trending:1',
  row_rank: 1,
  position: 0,
  title_id: 't1',
};

function numbered(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) =>
    JSON.stringify({ ...impression, event_id: `n${from + i}`, event_time: NOW - 50_000 + from + i }),
  );
}

test('a bucket is the first byte of the SHA-256 of the profile id in UTF-8', () => {
  expect(['p1', 'ann', '', 'Zoë', '🎬'].map(bucketOf)).toEqual([0xf6, 0x49, 0xe3, 0xc6, 0x0d]);
});

test('every valid record is archived once, with all its columns, in files of bounded size', async () => {
  const world = await World.create(stack, 'all');
  const { lines } = simulated(60, 2, 21);
  await world.publish(lines);
  await archiveAll(world, { roll: { rows: 1_500 } });
  await expectArchived(world);
  const files = await manifestOf(world);
  expect(files.length).toBeGreaterThan(6);
  expect(Math.max(...files.map(({ rows }) => rows))).toBeLessThanOrEqual(2_500);
  await world.end();
});

test('stream archives too, unless told not to, and ends when both have caught up', async () => {
  const world = await World.create(stack, 'stream');
  await world.publish(simulated(20, 1, 22).lines);
  await world.whence('stream', '--no-archive', '--until-caught-up');
  expect(await manifestOf(world)).toEqual([]);
  await world.whence('stream', '--until-caught-up');
  await expectArchived(world);
  await world.publish(simulated(20, 1, 23).lines);
  await world.whence('stream', '--processes', '2', '--until-caught-up');
  await expectArchived(world);
  await world.end();
});

test('who waits for the archive does not wait for files of another process to fill', async () => {
  const world = await World.create(stack, 'wanted', 2);
  const running = await createSilentArchiver(world);
  await world.publish(numbered(0, 50));
  await sleep(500);
  expect(await manifestOf(world)).toEqual([]);
  await world.whence('archive', '--until-caught-up');
  await expectArchived(world);
  await running.stop();
  await world.end();
});

test('told to end, the archiver archives what it has read, and ends well', async () => {
  const world = await World.create(stack, 'told', 1);
  await world.publish(numbered(0, 10));
  const archiver = world.start('archive', '--roll-seconds', '0.2');
  while ((await manifestOf(world)).length === 0) await sleep(20);
  archiver.kill('SIGTERM');
  expect(await ended(archiver)).toBe(0);
  await expectArchived(world);
  await world.end();
});

test('a range without any valid record is passed over, and the horizon moves on', async () => {
  const world = await World.create(stack, 'poison', 1);
  await world.publish(['{ not JSON', '[]', JSON.stringify({ ...impression, title_id: 5 })]);
  await archiveAll(world);
  expect(await archivedRows(world)).toEqual([]);
  const [file] = await manifestOf(world);
  expect(file).toMatchObject({ from: 0, to: 3, rows: 0, days: {}, minEventTime: null, maxEventTime: null });
  await expectArchived(world);
  await world.publish([JSON.stringify(impression), 'more poison']);
  await archiveAll(world);
  await expectArchived(world);
  const [position] = await readPositions(world.pool);
  expect(position).toMatchObject({ horizon: { log: 0, offset: 5 }, greatestEventTime: impression.event_time });
  await world.end();
});

test('odd texts, odd numbers and a context come back as they are', async () => {
  const world = await World.create(stack, 'odd', 1);
  const context = { list: [1, { x: null }], lone: '\ud800', nul: '\0', quote: '"\'' };
  await world.publish([
    JSON.stringify({ ...impression, row_id: `it's "1"\n;\u2028`, token: '🎬', context }),
    JSON.stringify({ ...impression, event_id: 'i2', event_time: 0, row_rank: -5, position: 2 ** 31 - 1, context: {} }),
    JSON.stringify({ ...impression, event_id: 'i3', event_time: new Date(NOW - 3 * DAY).toISOString(), context: null }),
    `{"type":"playback","action":"stop","event_id":"e1","event_time":${NOW},"profile_id":"p","country":"x",
      "device_type":"x","playback_id":"b","title_id":"t","series_id":"s","muted_autoplay":false,"position_ms":-0.5e-7,
      "runtime_ms":1e300,"origin":{"surface":"x","position":3}}`,
  ]);
  await archiveAll(world);
  await expectArchived(world);
  await world.end();
});

test('files are found by day and by snapshot', async () => {
  const world = await World.create(stack, 'find', 1);
  const old = NOW - 3 * DAY;
  await world.publish([JSON.stringify({ ...impression, event_time: old })]);
  await archiveAll(world);
  const snapshot = await readPositions(world.pool);
  await world.publish([JSON.stringify({ ...impression, event_id: 'i2' })]);
  await archiveAll(world);
  const day = new Date(old).toISOString().slice(0, 10);
  const froms = async (filter: Parameters<typeof readFiles>[1]) =>
    (await readFiles(world.pool, filter)).map(({ from }) => from);
  expect(await froms({})).toEqual([0, 1]);
  expect(await froms({ days: [day] })).toEqual([0]);
  expect(await froms({ until: snapshot })).toEqual([0]);
  expect(await froms({ since: snapshot })).toEqual([1]);
  expect(await froms({ until: [] })).toEqual([]);
  expect(await froms({ since: [], days: [day] })).toEqual([0]);
  await world.end();
});

test('a partition that was read to its end and stays quiet for an hour is complete', async () => {
  const world = await World.create(stack, 'quiet', 1);
  await world.publish([JSON.stringify(impression)]);
  const archiver = await createSilentArchiver(world, { roll: { ms: 100 }, lookMs: 100 });
  const position = async () => (await readPositions(world.pool)).find(({ topic }) => topic === world.impressions);
  const quietFor = async (ms: number) => {
    for (;;) {
      const at = await position();
      if (at !== undefined && (at.quietForMs ?? -1) >= ms) return at;
      await sleep(20);
    }
  };
  const looked = await quietFor(300);
  expect(watermarkOf(looked)).toBe(impression.event_time);
  await world.pool.query(`update whence.archive_tasks set quiet_since = quiet_since - interval '1 hour'`);
  expect(watermarkOf(await quietFor(3_600_000))).toBe(Infinity);
  await world.publish([JSON.stringify({ ...impression, event_id: 'i2', event_time: NOW })]);
  while ((await position())?.horizon.offset !== 2) await sleep(20);
  const moved = await position();
  expect(moved && watermarkOf(moved)).toBe(NOW);
  await archiver.stop();
  // A partition without any record is complete in the same way.
  const empty = (await readPositions(world.pool)).find(({ topic }) => topic === world.playback);
  expect(empty && watermarkOf(empty)).toBe(Infinity);
  await world.end();
});

test('ranges that overlap cannot be in the manifest, whoever writes them', async () => {
  const world = await World.create(stack, 'overlap', 1);
  await world.publish(numbered(0, 10));
  await archiveAll(world);
  await expect(
    world.pool.query(
      `insert into whence.archive_files
         (task, log, from_offset, to_offset, after_log, after_offset, path, format, rows, bytes, sha256, created_at)
       select task, log, 9, 12, 0, 9, 'another', 1, 0, 0, '', now() from whence.archive_files`,
    ),
  ).rejects.toThrow(/offsets_archived_once/);
  await world.end();
});

describe('where the log is not what it was, the archiver stops, and goes on only when told to', () => {
  test('records that were to be archived were deleted by retention', async () => {
    const world = await World.create(stack, 'retention', 1);
    await world.publish(numbered(0, 10));
    await archiveAll(world);
    await world.publish(numbered(10, 30));
    await world.withAdmin(async (admin) => {
      // kafkajs deletes only in topics whose metadata it has.
      await admin.fetchTopicOffsets(world.impressions);
      await admin.deleteTopicRecords({ topic: world.impressions, partitions: [{ partition: 0, offset: '20' }] });
    });
    const failure = await archiveAll(world).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(RecordsLostError);
    expect(String(failure)).toMatch(/impressions-retention\/0.*offset 10.*begins at 20.*--accept-data-loss/s);
    expect(await archivedRows(world)).toHaveLength(10);
    await archiveAll(world, { acceptDataLoss: true });
    expect((await archivedRows(world)).map(({ offset }) => offset)).toEqual([...range(0, 10), ...range(20, 30)]);
    await expectRebuilt(world);
    await world.end();
  });

  test.each([
    ['with fewer records than were archived', 5, /ends at offset 5.*10 was reached/s],
    ['with more records than were archived', 25, /offset 9 is not the one/s],
  ])('a topic was re-created, %s', async (_, records, words) => {
    const world = await World.create(stack, `recreated-${records}`, 1);
    await world.publish(numbered(0, 10));
    await archiveAll(world);
    await world.recreateTopic(world.impressions);
    await world.publish(numbered(100, 100 + records));
    const failure = await archiveAll(world).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(TopicRecreatedError);
    expect(String(failure)).toMatch(words);
    expect(await archivedRows(world)).toHaveLength(10);
    await archiveAll(world, { acceptDataLoss: true });
    const rows = await archivedRows(world);
    expect(rows.map(({ log, offset }) => [log, offset])).toEqual([
      ...range(0, 10).map((offset) => [0, offset]),
      ...range(0, records).map((offset) => [1, offset]),
    ]);
    await world.publish(numbered(200, 210));
    await archiveAll(world);
    expect(await archivedRows(world)).toHaveLength(20 + records);
    await expectRebuilt(world);
    await world.end();
  });

  function range(from: number, to: number): number[] {
    return Array.from({ length: to - from }, (_, i) => from + i);
  }
});

test('a Postgres that is away for a while is waited for, and nothing is lost', async () => {
  const world = await World.create(stack, 'weather', 1);
  await world.publish(numbered(0, 50));
  let kill = () => stack.postgres.kill();
  const killed = new Promise<void>((resolve) => {
    kill = async () => {
      kill = () => Promise.resolve();
      await stack.postgres.kill();
      resolve();
    };
  });
  const archiver = await createSilentArchiver(world, {
    onStep: (step) => (step === 'before commit' ? kill() : undefined),
  });
  const caughtUp = archiver.caughtUp();
  await killed;
  await sleep(1_000);
  await stack.restart('postgres');
  await caughtUp;
  await archiver.stop();
  await expectManifest(world);
  expect(await archivedRows(world)).toHaveLength(50);
  await world.end();
});
