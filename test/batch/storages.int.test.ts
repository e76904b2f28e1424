import { afterAll, describe, expect, test } from 'vitest';
import { prefixOf } from '../../archive/file.ts';
import { readFiles } from '../../archive/manifest.ts';
import { rebuildManifest } from '../../archive/rebuild.ts';
import { beginAttempt } from '../../batch/begin-attempt.ts';
import { buildHere } from '../../batch/datasets/build-here.ts';
import { verifyDataset } from '../../batch/datasets/verify-dataset.ts';
import { explainBatchPlay } from '../../batch/explain-play.ts';
import { compactArchive } from '../../batch/retention/compact.ts';
import { prune } from '../../batch/retention/prune.ts';
import type { Retention } from '../../batch/retention/retention.ts';
import { isMissing, StorageGround, STORAGES } from '../storages.ts';
import { evenings, FIRST_DAY, LAST_DAY } from './datasets/evening.ts';
import { LittleWorld, openGround } from './little-world.ts';

const KEEP_NOTHING: Retention = { versions: 0, attempts: 0, datasets: 0, speedPlays: Infinity, grace: 0 };

/** What came of the same log on each storage. */
const outcomes: { plays: unknown[]; counts: unknown[] }[] = [];

describe.each(STORAGES)('over a %s', (kind) => {
  describe.skipIf(isMissing(kind))('of a real server', () => {
    let stop = async () => {};
    afterAll(() => stop());

    test('days are reconciled in two versions, plays explained, datasets built and verified', async () => {
      const storages = await StorageGround.open(kind);
      const env = await storages.env();
      const ground = await openGround((folder) => storages.openStorage(folder, env));
      stop = async () => void (await Promise.all([ground.stop(), storages.stop()]));
      const little = await LittleWorld.create(ground, evenings(20));
      for (const part of [100, Infinity]) {
        await little.archive('events', 0, part);
        await little.stream(0, part);
        await little.reconcile(...little.days);
      }
      const { rows } = await ground.pool.query<{ play_id: string; layer: string }>(
        'select * from whence.plays order by play_id',
      );
      const ofBatch = rows.find(({ layer }) => layer === 'batch');
      expect((await explainBatchPlay(little.deps, ofBatch?.play_id ?? ''))?.explanation).not.toBeNull();
      const counts: unknown[] = [];
      for (const format of ['arrow', 'parquet'] as const) {
        const request = { name: format, from: FIRST_DAY, to: LAST_DAY, format, owner: format, actor: 'a tester' };
        counts.push((await buildHere(little.deps, request, { recordsAShard: 90 })).counts);
        expect((await verifyDataset(little.deps, format)).faults).toEqual([]);
      }
      outcomes.push({ plays: rows, counts });
    });

    test('small files are merged, and what nothing refers to any more is deleted, said beforehand by a dry run', async () => {
      const storages = await StorageGround.open(kind);
      const env = await storages.env();
      const ground = await openGround((folder) => storages.openStorage(folder, env));
      const first = stop;
      stop = async () => void (await Promise.all([first(), ground.stop(), storages.stop()]));
      const little = await LittleWorld.create(ground, evenings(20));
      while (little.archivedTo('events', 0) < little.log.length) await little.archive('events', 0, 20);
      await little.fallQuiet('events', 0);
      await little.stream(0, Infinity);
      await little.reconcile(...little.days);
      const small = await readFiles(ground.pool);
      const served = async () => (await ground.pool.query('select * from whence.plays order by play_id')).rows;
      const before = await served();
      // An attempt that nobody goes on with; a dataset, and the one that takes its place.
      await beginAttempt(little.deps, { days: little.days, cause: 'test', actor: 'test', owner: 'gone' });
      for (let version = 1; version <= 2; version++) {
        const request = { name: 'daily', from: FIRST_DAY, to: LAST_DAY, owner: `${version}`, actor: 'a tester' };
        await buildHere(little.deps, request);
      }
      expect(await compactArchive(little.deps)).toMatchObject({ merged: small.length - 1 });
      const merged = await readFiles(ground.pool);
      const all = await ground.storage.list('');
      const isRunning = () => Promise.resolve(false);
      const pruned = (dryRun: boolean) => prune(little.deps, { retention: KEEP_NOTHING, isRunning, dryRun });
      const foreseen = await pruned(true);
      expect(foreseen).toMatchObject({
        attempts: { count: 1 },
        datasets: { count: 1 },
        files: { count: small.length - 1 },
      });
      expect(await ground.storage.list('')).toEqual(all);
      expect(await pruned(false)).toMatchObject({ datasets: foreseen.datasets, attempts: foreseen.attempts });
      const left = await ground.storage.list('');
      expect(left.filter((key) => key.startsWith(prefixOf(little.installation)))).toEqual(
        merged.map(({ path }) => path).sort(),
      );
      expect((await rebuildManifest(ground.storage, little.installation)).files).toHaveLength(merged.length);
      expect((await verifyDataset(little.deps, 'daily')).faults).toEqual([]);
      await little.reconcile(...little.days);
      expect(await served()).toEqual(before);
    });
  });
});

test.skipIf(isMissing('bucket'))('the answers are the same on every storage', () => {
  expect(outcomes.map(({ plays }) => plays.length)).toEqual([expect.any(Number), outcomes[0].plays.length]);
  expect(outcomes[1]).toEqual(outcomes[0]);
});
