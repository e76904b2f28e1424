import fs from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { buildHere } from '../../../batch/datasets/build-here.ts';
import type { DatasetFormat } from '../../../batch/datasets/request.ts';
import { parseManifest, sha256OfBytes } from '../../../batch/datasets/manifest.ts';
import { verifyDataset } from '../../../batch/datasets/verify-dataset.ts';
import { BatchRequestError } from '../../../batch/errors.ts';
import { type Ground, LittleWorld, openGround } from '../little-world.ts';
import { evenings, FIRST_DAY } from './evening.ts';
import { by } from './read-dataset.ts';

let ground: Ground;
let little: LittleWorld;
beforeAll(async () => {
  ground = await openGround();
  little = await LittleWorld.create(ground, evenings(12));
  await little.stream(0, Infinity);
  await little.archive('events', 0, Infinity);
  await little.reconcile(...little.days);
}, 120_000);
afterAll(() => ground.stop());

describe.each(['arrow', 'parquet'] as const)('of a dataset as %s, verify', (format) => {
  const name = `damaged-${format}`;
  let folder: string;
  let shard: string;
  beforeEach(async () => {
    ({ path: folder } = await build(format, name));
    shard = path.join(folder, `part-00001.${format}`);
  });
  const faults = async () => (await verifyDataset(little.deps, name)).faults;

  test('finds nothing wrong with what was published', async () => {
    const { faults, shards, examples } = await verifyDataset(little.deps, name);
    expect(faults).toEqual([]);
    expect(shards).toBeGreaterThan(1);
    expect(examples).toBeGreaterThan(12);
  });

  test('finds a shard that is missing, and one too many', async () => {
    await fs.rename(shard, `${shard}.old`);
    expect(await faults()).toEqual([
      `part-00001.${format}.old: is not of the dataset`,
      `part-00001.${format}: is missing`,
    ]);
  });

  test('finds a shard that was cut off', async () => {
    const { size } = await fs.stat(shard);
    await fs.truncate(shard, size - 100);
    expect(await faults()).toEqual([
      `part-00001.${format}: has a length in bytes of ${size - 100}, expected ${size}`,
      expect.stringMatching(/^part-00001\.\w+: has the SHA-256 \w{64}, expected \w{64}$/),
      expect.stringMatching(/^part-00001\.\w+: (cannot be read|has)/),
    ]);
  });

  test('finds one byte that was altered, wherever it is', async () => {
    const bytes = await fs.readFile(shard);
    for (const at of [0, Math.floor(bytes.length / 2), bytes.length - 1]) {
      const altered = Buffer.from(bytes);
      altered[at] ^= 1;
      await fs.writeFile(shard, altered);
      expect(await faults()).toContainEqual(expect.stringMatching(/^part-00001\.\w+: has the SHA-256/));
    }
  });

  test('finds a shard in the place of another', async () => {
    await fs.copyFile(path.join(folder, `part-00000.${format}`), shard);
    expect(await faults()).toContainEqual(expect.stringMatching(/^part-00001\.\w+: has the SHA-256/));
  });

  test('finds rows and positives that are others, where the manifest was altered to fit the file', async () => {
    const manifest = path.join(folder, '_manifest.json');
    const content = parseManifest(await fs.readFile(manifest, 'utf8'));
    await fs.copyFile(path.join(folder, `part-00000.${format}`), shard);
    const bytes = await fs.readFile(shard);
    Object.assign(content.shards[1], { bytes: bytes.length, sha256: sha256OfBytes(bytes) });
    content.shards[1].examples += 1000;
    content.schema[0].type = 'int8';
    await fs.writeFile(manifest, JSON.stringify(content));
    const found = await faults();
    expect(found).toContainEqual(expect.stringMatching(/^_manifest\.json: has the SHA-256/));
    expect(found).toContainEqual(expect.stringMatching(/^part-00001\.\w+: has rows: \d+, expected 10\d\d$/));
    expect(found).toContainEqual(
      expect.stringMatching(/^part-00001\.\w+: has the schema profile_id text,.*expected profile_id int8/),
    );
    expect(found).toContainEqual('_manifest.json: its counts are not those of its shards together');
  });

  test('finds a manifest that is missing, that is none, or whose counts do not add up', async () => {
    const manifest = path.join(folder, '_manifest.json');
    const content = parseManifest(await fs.readFile(manifest, 'utf8'));
    content.counts.impressions++;
    content.counts.positives++;
    await fs.writeFile(manifest, JSON.stringify(content));
    expect(await faults()).toEqual([
      expect.stringMatching(/^_manifest\.json: has the SHA-256/),
      '_manifest.json: its counts are not those of its shards together',
      expect.stringMatching(/^_manifest\.json: tells of \d+ of \d+ impressions what they became$/),
      expect.stringMatching(/^_manifest\.json: has \d+ examples, \d+ of them positive; registered are \d+ and \d+$/),
    ]);
    await fs.writeFile(manifest, '{}');
    expect((await faults())[1]).toMatch(/^_manifest\.json: cannot be read/);
    await fs.rm(manifest);
    expect(await faults()).toEqual(['_manifest.json: is missing']);
  });
});

test('verify takes the latest version unless one is asked for, and says where there is none', async () => {
  const first = await build('arrow', 'versions');
  await build('arrow', 'versions');
  await fs.rm(path.join(first.path, 'part-00000.arrow'));
  expect(await verifyDataset(little.deps, 'versions')).toMatchObject({ version: 2, faults: [] });
  expect(await verifyDataset(little.deps, 'versions', 1)).toMatchObject({
    version: 1,
    faults: ['part-00000.arrow: is missing'],
  });
  await expect(verifyDataset(little.deps, 'versions', 3)).rejects.toThrow(BatchRequestError);
  await expect(verifyDataset(little.deps, 'nothing')).rejects.toThrow(
    /no published dataset "nothing"; see: npx whence/,
  );
});

function build(format: DatasetFormat, name: string) {
  return buildHere(little.deps, { name, from: FIRST_DAY, to: FIRST_DAY, format, ...by }, { recordsAShard: 60 });
}
