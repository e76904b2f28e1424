import { afterAll, describe, expect, test } from 'vitest';
import { buildHere } from '../../batch/datasets/build-here.ts';
import { verifyDataset } from '../../batch/datasets/verify-dataset.ts';
import { explainBatchPlay } from '../../batch/explain-play.ts';
import { isMissing, StorageGround, STORAGES } from '../storages.ts';
import { evenings, FIRST_DAY, LAST_DAY } from './datasets/evening.ts';
import { LittleWorld, openGround } from './little-world.ts';

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
  });
});

test.skipIf(isMissing('bucket'))('the answers are the same on every storage', () => {
  expect(outcomes.map(({ plays }) => plays.length)).toEqual([expect.any(Number), outcomes[0].plays.length]);
  expect(outcomes[1]).toEqual(outcomes[0]);
});
