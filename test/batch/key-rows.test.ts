import os from 'node:os';
import { expect, test } from 'vitest';
import { defaultPolicy } from '../../attribution/policy.ts';
import { withEngine } from '../../batch/engine.ts';
import { ClassCodes, columnsOfImpressions, FactChunk, KeyRows } from '../../batch/key-rows.ts';

const IMPRESSIONS = 200_000;

test('a key that goes on in the next chunks keeps the texts of the first ones', async () => {
  const wrong = await withEngine({ scratch: os.tmpdir() }, async (engine) => {
    const result = await engine.stream(
      `select ${columnsOfImpressions()}
       from (
         select i as event_time, 'the impression of number ' || i as event_id, 1 as row_rank, 1 as position, 'home' as page,
           'trending' as row_type, 'the row of the impression ' || i as row_id, 'the token of ' || i as token
         from range(${IMPRESSIONS}) t (i)
       ) r cross join (select 0 as key) k
       order by hash(event_time)`,
    );
    const facts = new KeyRows();
    for (;;) {
      const read = await result.fetchChunk();
      if (read === null || read.rowCount === 0) break;
      const chunk = new FactChunk(read);
      for (let row = 0; row < chunk.rows; row++) facts.add(chunk, row);
      facts.keep();
    }
    facts.load(new ClassCodes(defaultPolicy));
    expect(facts.impressions.count).toBe(IMPRESSIONS);
    return Array.from({ length: IMPRESSIONS }, (_, i) => facts.impressionWords(i)).filter(
      ({ id, rowId, time }) =>
        id !== `the impression of number ${time}` || rowId !== `the row of the impression ${time}`,
    );
  });
  expect(wrong).toEqual([]);
});
