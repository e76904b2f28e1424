import { afterAll, beforeAll, expect, test } from 'vitest';
import { defaultPolicy } from '../../attribution/policy.ts';
import { createDatabase, startTestStack, type TestStack } from '../../local/testing.ts';
import { registerPolicy } from '../../merge/register-policy.ts';
import { silentLogger } from '../../platform/log.ts';
import { openPool, pipelineBeside, type Pool } from '../../platform/postgres.ts';
import { commitAgain, commitDeltas } from '../../streaming/commit.ts';
import { FencedError } from '../../streaming/errors.ts';
import { takeTask } from '../../streaming/sql/take-task.ts';
import { TaskState, type Delta } from '../../streaming/task-state.ts';
import { recordsOfLines } from '../records.ts';
import { simulated } from './world.ts';

let stack: TestStack<'postgres'>;
beforeAll(async () => {
  stack = await startTestStack({ services: ['postgres'] });
});
afterAll(() => stack.stop());

const TOPICS = ['impressions', 'playback'];
const { lines } = simulated(200, 2, 21);

/** The deltas of a log, each of so many records. */
function* deltasOf(size: number): Generator<Delta> {
  const state = new TaskState(0, TOPICS, defaultPolicy, {}, {});
  for (const { topic, record } of recordsOfLines(lines)) {
    state.read(topic, record, false);
    if (state.pending === size) yield state.takeDelta([false, false]);
  }
  yield state.takeDelta([false, false]);
}

interface Ground {
  pool: Pool;
  pipeline: Pool;
  epoch: number;
}

async function openGround(): Promise<Ground> {
  const log = silentLogger();
  const databaseUrl = await createDatabase(stack.postgres.databaseUrl);
  const pool = await openPool({ databaseUrl, applicationName: 'test', log, max: 2 });
  await registerPolicy(pool, defaultPolicy);
  const { epoch } = await takeTask(pool, 0, 0);
  return { pool, pipeline: pipelineBeside(pool, log), epoch };
}

async function end({ pool, pipeline }: Ground): Promise<void> {
  await Promise.all([pool.end(), pipeline.end()]);
}

/** All that a commit writes, but for when. */
async function written({ pool }: Ground): Promise<unknown[]> {
  const tables = {
    speed_plays: 'play_id',
    key_discoveries: 'profile_id, work_id',
    daily_shares: 'day, layer, country, sod_surface, sod_row_type',
    ledger: 'topic, day',
    dead_letters: 'topic, "offset"',
  };
  const rows: unknown[] = [];
  for (const [table, order] of Object.entries(tables)) {
    // A rollup that came to nothing is nothing.
    const some = table === 'daily_shares' ? 'where plays <> 0' : '';
    const ours = `to_jsonb(t) - '{id,dead_lettered_at}'::text[]`;
    rows.push([
      table,
      (await pool.query(`select ${ours} as row from whence.${table} t ${some} order by ${order}`)).rows,
    ]);
  }
  rows.push((await pool.query('select task, offsets, watermark from whence.speed_tasks')).rows);
  return rows;
}

test('a log is the same rows, in small commits through the pipeline and in large ones by COPY', async () => {
  const [small, large] = [await openGround(), await openGround()];
  for (const [ground, size] of [
    [small, 150],
    [large, lines.length],
  ] as const) {
    let offsets = {};
    for (const delta of deltasOf(size)) {
      await commitDeltas(ground, [{ task: 0, epoch: ground.epoch, from: offsets, delta }]);
      offsets = delta.offsets;
    }
  }
  expect(await written(small)).toEqual(await written(large));
  await Promise.all([end(small), end(large)]);
});

test('behind a closed fence nothing is written, whatever was sent with it, and connections serve on', async () => {
  const ground = await openGround();
  const [first, second] = [...deltasOf(2_000)];
  const former = ground.epoch;
  const { epoch } = await takeTask(ground.pool, 0, 0);
  const before = await written(ground);
  await expect(commitDeltas(ground, [{ task: 0, epoch: former, from: {}, delta: first }])).rejects.toThrow(FencedError);
  expect(await written(ground)).toEqual(before);
  await commitDeltas(ground, [{ task: 0, epoch, from: {}, delta: first }]);
  const after = await written(ground);
  // From elsewhere than where it is.
  await expect(commitDeltas(ground, [{ task: 0, epoch, from: {}, delta: second }])).rejects.toThrow(FencedError);
  expect(await written(ground)).toEqual(after);
  // The answer to an earlier try of it was lost.
  await commitAgain(ground, { task: 0, epoch, from: {}, delta: first });
  expect(await written(ground)).toEqual(after);
  await commitDeltas(ground, [{ task: 0, epoch, from: first.offsets, delta: second }]);
  expect(await written(ground)).not.toEqual(after);
  await end(ground);
});

test('plans that were made when tables were small read no table from end to end when they have grown', async () => {
  const ground = await openGround();
  // One connection has all the plans.
  ground.pipeline.options.max = 1;
  const deltas = [...deltasOf(60)].filter(({ touched }) => touched.length > 0);
  let offsets = {};
  const commit = async (delta: Delta) => {
    await commitDeltas(ground, [
      { task: 0, epoch: ground.epoch, from: offsets, delta: { ...delta, offsets: { ...delta.offsets } } },
    ]);
    offsets = delta.offsets;
  };
  const tables = ['speed_plays', 'key_discoveries', 'batch_plays'];
  for (const table of tables) await ground.pool.query(`alter table whence.${table} set (autovacuum_enabled = false)`);
  for (const delta of deltas.slice(0, 20)) await commit(delta);
  await ground.pool.query(`analyze ${tables.map((table) => `whence.${table}`).join(', ')}`);
  for (const delta of deltas.slice(20, 25)) await commit(delta);
  const { rows: columns } = await ground.pool.query<{ name: string }>(
    `select attname as name from pg_attribute
     where attrelid = 'whence.speed_plays'::regclass and attnum > 0 and not attisdropped and attgenerated = ''`,
  );
  const others: Record<string, string> = { play_id: 'gen_random_uuid()', profile_id: "'q' || n", work_id: "'w' || n" };
  const names = columns.map(({ name }) => name);
  await ground.pool.query(
    `insert into whence.speed_plays (${names.join(', ')}) select ${names.map((name) => others[name] ?? name).join(', ')}
     from (select * from whence.speed_plays limit 1) one, generate_series(1, 20000) n`,
  );
  await ground.pool.query(
    `insert into whence.key_discoveries (profile_id, work_id, by_batch, settled)
     select 'q' || n, 'w' || n, false, 0 from generate_series(1, 20000) n`,
  );
  const read = async () => {
    await ground.pipeline.query('select pg_stat_force_next_flush()');
    const { rows } = await ground.pool.query<{ read: number }>(
      `select sum(seq_tup_read)::bigint as read from pg_stat_user_tables
       where schemaname = 'whence' and relname = any ($1::text[])`,
      [tables],
    );
    return rows[0].read;
  };
  const before = await read();
  for (const delta of deltas.slice(25, 30)) await commit(delta);
  expect((await read()) - before).toBe(0);
  await end(ground);
});
