import fs from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { abandonDataset } from '../../../batch/datasets/abandon-dataset.ts';
import { beginDataset } from '../../../batch/datasets/begin-dataset.ts';
import { buildShard, type ShardStep } from '../../../batch/datasets/build-shard.ts';
import { DatasetBuildGoneError } from '../../../batch/datasets/errors.ts';
import { EXCLUSIONS } from '../../../batch/datasets/label.ts';
import { listDatasets } from '../../../batch/datasets/list-datasets.ts';
import { publishDataset, type PublishStep } from '../../../batch/datasets/publish-dataset.ts';
import type { DatasetRequest } from '../../../batch/datasets/request.ts';
import { verifyDataset } from '../../../batch/datasets/verify-dataset.ts';
import { BatchRequestError } from '../../../batch/errors.ts';
import { withTransaction } from '../../../platform/postgres.ts';
import { type Ground, LittleWorld, openGround } from '../little-world.ts';
import { evenings, FIRST_DAY, LAST_DAY } from './evening.ts';
import { buildAndRead, by, readFiles } from './read-dataset.ts';

const SMALL = { recordsAShard: 90 };
const log = evenings(30);

let ground: Ground;
let little: LittleWorld;
beforeAll(async () => {
  ground = await openGround();
  little = await LittleWorld.create(ground, log);
  await little.stream(0, Infinity);
  await little.archive('events', 0, Infinity);
  await little.reconcile(...little.days);
}, 120_000);
afterAll(() => ground.stop());

let request: DatasetRequest;
let names = 0;
beforeEach(() => {
  request = { name: `d${++names}`, from: FIRST_DAY, to: LAST_DAY, negatives: 0.5, seed: 3 };
});

class Crash extends Error {}
function crashAt<Step extends string>(at: Step) {
  return (step: Step) => {
    if (step === at) throw new Crash(at);
  };
}

test('every label and every reason occurs, and together they are all impressions', async () => {
  const { counts, rows } = await buildAndRead(little.deps, request, SMALL);
  const { impressions, examples, positives, negatives, sampledOut, excluded } = counts;
  expect(impressions).toBe(log.filter(({ event }) => event.type === 'impression').length);
  expect(positives).toBe(30);
  expect(negatives + sampledOut).toBe(60);
  expect(sampledOut).toBeGreaterThan(10);
  expect(excluded).toEqual({
    another_impression: 30,
    another_surface: 30,
    already_discovered: 30,
    unqualified: 30,
    not_matured: 30,
  });
  expect(examples + sampledOut + EXCLUSIONS.reduce((sum, reason) => sum + excluded[reason], 0)).toBe(impressions);
  expect(rows.length).toBe(examples);
  const weight = rows.filter(({ label }) => label === 0).reduce((sum, row) => sum + row.weight, 0);
  expect(weight).toBe(negatives * 2);
});

test.each(['arrow', 'parquet'] as const)(
  'a second build over the same pins, by several workers in another order, has the same bytes: %s',
  async (format) => {
    const built = await buildAndRead(little.deps, { ...request, format }, SMALL);
    const { build, units, version } = await beginDataset(little.deps, { ...request, format, ...by }, SMALL);
    expect(version).toBe(2);
    expect(units).toBeGreaterThan(4);
    const left = Array.from({ length: units }, (_, unit) => unit);
    const workers = ['a', 'b', 'c'].map(async (worker) => {
      const scratch = path.join(ground.directory, `${format}-${worker}`);
      await fs.mkdir(scratch);
      for (let unit = left.pop(); unit !== undefined; unit = left.pop()) {
        await buildShard({ ...little.deps, scratch }, build, unit);
      }
      expect(await fs.readdir(scratch)).toEqual([]);
    });
    await Promise.all(workers);
    const again = await publishDataset(little.deps, build);
    expect(again.manifestSha256).toBe(built.manifestSha256);
    const [first, second] = [await readFiles(built.path), await readFiles(again.path)];
    expect([...second.keys()]).toEqual([...first.keys()]);
    expect(first.size).toBe(units + 1);
    for (const [name, bytes] of first) expect(second.get(name)?.equals(bytes), name).toBe(true);
  },
);

test('a later version of the batch layer does not change what a build that has begun becomes', async () => {
  const built = await buildAndRead(little.deps, request, SMALL);
  const { build, units } = await beginDataset(little.deps, { ...request, ...by }, SMALL);
  await buildShard(little.deps, build, 0);
  await little.reconcile(FIRST_DAY);
  for (let unit = 1; unit < units; unit++) await buildShard(little.deps, build, unit);
  expect((await publishDataset(little.deps, build)).manifestSha256).toBe(built.manifestSha256);
});

test('a shard built again after a crash at any step, or twice at once, is the same, and nothing is left beside it', async () => {
  const built = await buildAndRead(little.deps, request, SMALL);
  const { build, units } = await beginDataset(little.deps, { ...request, ...by }, SMALL);
  for (const step of ['prepare', 'examples', 'written', 'stored', 'done'] satisfies ShardStep[]) {
    await expect(buildShard(little.deps, build, 1, { onStep: crashAt<ShardStep>(step) })).rejects.toThrow(Crash);
  }
  for (let unit = 0; unit < units; unit++) {
    await Promise.all([buildShard(little.deps, build, unit), buildShard(little.deps, build, unit)]);
  }
  for (const step of ['checked', 'manifest stored', 'before commit', 'published'] satisfies PublishStep[]) {
    await expect(publishDataset(little.deps, build, { onStep: crashAt<PublishStep>(step) })).rejects.toThrow(Crash);
  }
  const again = await publishDataset(little.deps, build);
  expect(again.manifestSha256).toBe(built.manifestSha256);
  expect(await readFiles(again.path)).toEqual(await readFiles(built.path));
  expect((await fs.readdir(ground.directory)).filter((name) => /\.(arrow|parquet)$/.test(name))).toEqual([]);
  await expect(buildShard(little.deps, build, 0)).rejects.toThrow(DatasetBuildGoneError);
});

test('a build that is not finished is not published, and says which shards are missing', async () => {
  const { build } = await beginDataset(little.deps, { ...request, ...by }, SMALL);
  await buildShard(little.deps, build, 0);
  await expect(publishDataset(little.deps, build)).rejects.toThrow(/units 1, 2, .* are not built/);
  const [open] = (await listDatasets(ground.pool)).filter(({ name }) => name === request.name);
  expect(open).toMatchObject({ version: 1, status: 'building', examples: null, path: null, manifest_sha256: null });
  await abandonDataset(little.deps, build);
});

test('an owner that begins again gives up what it had open, and what that leaves behind is not published', async () => {
  const { build, units, version } = await beginDataset(little.deps, { ...request, ...by }, SMALL);
  await buildShard(little.deps, build, units - 1);
  const later = await beginDataset(little.deps, { ...request, ...by });
  expect([later.version, later.units]).toEqual([version, 1]);
  await expect(buildShard(little.deps, build, 0)).rejects.toThrow(DatasetBuildGoneError);
  await buildShard(little.deps, later.build, 0);
  const { path } = await publishDataset(little.deps, later.build);
  expect([...(await readFiles(path)).keys()]).toEqual(['_manifest.json', 'part-00000.arrow']);
});

test('a build that is given up leaves no row and no file', async () => {
  const { build } = await beginDataset(little.deps, { ...request, ...by }, SMALL);
  await buildShard(little.deps, build, 0);
  await abandonDataset(little.deps, build);
  expect((await listDatasets(ground.pool)).filter(({ name }) => name === request.name)).toEqual([]);
  const keys = await ground.storage.list('datasets/');
  expect(keys.filter((key) => key.includes(`/${request.name}/`))).toEqual([]);
});

test('what is published is listed, and the reader may see it', async () => {
  const { path, manifestSha256, counts } = await buildAndRead(little.deps, request, SMALL);
  const listed = await withTransaction(ground.pool, async (client) => {
    await client.query('set local role whence_reader');
    return listDatasets(client);
  });
  expect(listed.find(({ name }) => name === request.name)).toEqual({
    name: request.name,
    version: 1,
    status: 'published',
    from_day: FIRST_DAY,
    to_day: LAST_DAY,
    examples: counts.examples,
    positives: counts.positives,
    path,
    manifest_sha256: manifestSha256,
    created_at: expect.any(Date),
  });
  expect((await verifyDataset(little.deps, request.name)).faults).toEqual([]);
});

test.each([
  [
    { from: '2025-11-20', to: '2025-11-24' },
    /does not cover 2025-11-20, .*reconcile --day 2025-11-20, and so for each of them/,
  ],
  [{ to: '2025-11-27' }, /does not cover 2025-11-27, .*reconcile --day 2025-11-27/],
  [{ from: '2025-11-26', to: '2025-11-24' }, /from 2025-11-26 is after to 2025-11-24/],
  [{ from: '2025-02-30' }, /from "2025-02-30": expected a date/],
  [{ name: '../x' }, /name "..\/x": expected at most 64 letters/],
  [{ negatives: 0, seed: 0.5 }, /negatives 0: .*; seed 0.5: /],
  [{ labelWindow: 'soon' }, /labelWindow "soon": expected a duration/],
  [{ labelWindow: '31d' }, /A label window of 31d is longer than the discovery window of the batch layer, 30d/],
  [{ from: '1990-01-01' }, /more than 1000 days/],
])('a request that cannot be met is refused with what to do: %j', async (change, message) => {
  const begun = beginDataset(little.deps, { ...request, ...change, ...by });
  await expect(begun).rejects.toThrow(BatchRequestError);
  await expect(begun).rejects.toThrow(message);
});
