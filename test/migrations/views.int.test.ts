import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase, startTestStack, type TestStack } from '../../local/testing.ts';
import { silentLogger } from '../../platform/log.ts';
import { openPool, withTransaction, type Pool } from '../../platform/postgres.ts';

let stack: TestStack<'postgres'>;
let pool: Pool;
beforeAll(async () => {
  stack = await startTestStack({ services: ['postgres'] });
  const databaseUrl = await createDatabase(stack.postgres.databaseUrl);
  pool = await openPool({ databaseUrl, applicationName: 'whence-test', log: silentLogger() });
});
afterAll(async () => {
  await pool?.end();
  await stack?.stop();
});

const source = (prefix: string) =>
  'surface class row_type row_id row_rank position impression_id evidence'
    .split(' ')
    .map((name) => `${prefix}_${name}`);

/** Names that others script against: they stay, more may come. */
const VIEWS = {
  plays: [
    'play_id playback_id playback_ids profile_id work_id title_id country device_type day started_at ended_at'.split(
      ' ',
    ),
    'watched_ms qualified state inferred_start inferred_end'.split(' '),
    source('sop'),
    source('sod'),
    'assisted is_discovery discovered_at rule layer policy generation'.split(' '),
  ].flat(),
  discoveries: ['profile_id', 'work_id', 'play_id', 'discovered_at', ...source('sod'), 'layer'],
  credits: 'play_id model touch_index impression_id row_type row_rank position touched_at weight'.split(' '),
  daily_discovery: 'day country sod_surface sod_row_type plays qualified_plays discoveries watched_hours'.split(' '),
  ledger: 'topic partition day consumed applied duplicate late excluded dead_lettered'.split(' '),
  corrections: 'day profile_id work_id play_id cause speed batch generation'.split(' '),
  days: 'day covered generation committed_at policy plays open_plays dirty_keys failed_at failure'.split(' '),
  versions: 'version current held committed_at cause actor watermark horizon days_changed plays_changed'.split(' '),
  datasets: 'name version status from_day to_day examples positives path manifest_sha256 created_at'.split(' '),
};

const TYPES: Record<string, RegExp> = {
  '.*_at|watermark': /^timestamp with time zone$/,
  'day|.*_day': /^date$/,
  'speed|batch|horizon': /^jsonb$/,
};

test.each(Object.entries(VIEWS))('whence.%s has its columns, and the reader may read it', async (view, columns) => {
  const { rows } = await pool.query<{ column_name: string; data_type: string }>(
    `select column_name, data_type from information_schema.columns
     where table_schema = 'whence' and table_name = $1 order by ordinal_position`,
    [view],
  );
  expect(rows.map((row) => row.column_name).filter((name) => columns.includes(name))).toEqual(columns);
  for (const { column_name, data_type } of rows) {
    for (const [names, type] of Object.entries(TYPES)) {
      if (new RegExp(`^(${names})$`).test(column_name)) expect(data_type, column_name).toMatch(type);
    }
  }
  await withTransaction(pool, async (client) => {
    await client.query('set local role whence_reader');
    await client.query(`select * from whence.${view}`);
  });
});
