import path from 'node:path';
import { execa, type ResultPromise } from 'execa';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { whence } from '../cli/run.ts';
import { archivedWorld, DAY, openTemporalGround, type TemporalGround } from './temporal-ground.ts';

const LAUNCHER = fileURLToPath(new URL('../../cli/whence.js', import.meta.url));

let temporal: TemporalGround;
let env: Record<string, string>;
let worker: ResultPromise<{ reject: false }>;
beforeAll(async () => {
  temporal = await openTemporalGround();
  await archivedWorld(temporal.ground);
  env = {
    DATABASE_URL: temporal.ground.databaseUrl,
    TEMPORAL_ADDRESS: temporal.temporal.address,
    WHENCE_DATA_DIR: path.join(temporal.ground.directory, 'data'),
    WHENCE_TASK_QUEUE: temporal.taskQueue,
    NODE_ENV: '',
    VITEST: '',
  };
});
afterAll(() => temporal.stop());

test('a day that nobody works on says so, and goes on when a worker comes', async () => {
  const reconcile = execa(process.execPath, [LAUNCHER, 'reconcile', '--day', DAY, '--json'], { env, reject: false });
  let said = '';
  reconcile.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await expect
    .poll(() => said, { timeout: 60_000 })
    .toContain('Nobody works on the task queue "test"; start a worker beside: npx whence worker');
  worker = execa(process.execPath, [LAUNCHER, 'worker', '--concurrency', '1'], { env, reject: false });
  const { exitCode, stdout } = await reconcile;
  expect(exitCode).toBe(0);
  const json: unknown = JSON.parse(stdout);
  expect(json).toMatchObject({ days: [DAY], version: 1, plays: 20, corrections: 0 });
});

test('it tells people what came out, progress beside on standard error', async () => {
  const { code, stdout, stderr } = await whence(['reconcile', '--day', '2025-11-25'], { env });
  expect(code).toBe(0);
  expect(stdout).toBe(
    [
      'Version 2 is current.',
      '  20 plays of 2025-11-25, from 80 archived records.',
      '  20 plays changed, in 1 day; 0 keys were dirty.',
      '  0 corrections of the speed layer.',
      '',
    ].join('\n'),
  );
  expect(stderr).toContain('Workflow reconcileDay/2025-11-25');
});

test('a run is found by its day and what it does', async () => {
  const found = async (query: string) => {
    const ids: string[] = [];
    for await (const { workflowId } of temporal.client.workflow.list({ query })) ids.push(workflowId);
    return ids;
  };
  const query = `WhenceDay = '2025-11-25' and WhenceKind = 'reconcileDay'`;
  await expect.poll(() => found(query), { timeout: 30_000 }).toEqual(['reconcileDay/2025-11-25']);
});

test('a day without records says what may be missing', async () => {
  const { code, stdout } = await whence(['reconcile', '--day', '2024-01-01'], { env });
  expect(code).toBe(0);
  expect(stdout).toContain('The archive holds no record of 2024-01-01');
});

test('a day that is none is an error, with words that help', async () => {
  const { code, stderr, stdout } = await whence(['reconcile', '--day', 'yesterday'], { env });
  expect(code).toBe(1);
  expect(stderr).toContain('error: The input of reconcileDay is wrong: day: expected a UTC date such as "2026-11-23"');
  expect(stdout).toBe('');
});

test('a version is rolled back to and held, and let go, by who asks', async () => {
  const back = await whence(['rollback', '--to', '1'], { env });
  expect(back.code, back.stderr).toBe(0);
  expect(back.stdout).toMatch(/^Version 1 is current, held by .* \(whence rollback\); it was \d+\.\n/);
  const refused = await whence(['reconcile', '--day', DAY], { env });
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/Version 1 is held by .* since .*; let it go with: npx whence release/);
  const unknown = await whence(['rollback', '--to', '99'], { env });
  expect(unknown.stderr).toContain('There is no version 99; versions that are kept: 1, 2');
  const free = await whence(['release', '--json'], { env });
  const json: unknown = JSON.parse(free.stdout);
  expect(json).toEqual({ version: 1, heldBy: expect.stringContaining('(whence rollback)') });
});

test('what a terminated workflow left is removed, and what a running one works on is not; at first it is only said', async () => {
  const { client, ground } = temporal;
  await client.workflow.start('reconcileDay', { workflowId: 'at work', taskQueue: 'nobody works here', args: [{}] });
  const handle = await client.workflow.start('prune', { workflowId: 'ended', taskQueue: 'nobody works here' });
  await handle.terminate();
  for (const owner of ['at work', 'ended', 'forgotten']) {
    await ground.pool.query(
      `insert into whence.batch_attempts
         (owner, parent, days, cause, actor, policy, begun_at, positions, watermark, copies, dirty_keys, records)
       select $1, 1, '{}', 'test', 'test', hash, now() - interval '2 days', '[]', 'infinity', '{}', 0, 0 from whence.policies`,
      [owner],
    );
  }
  const owners = async () =>
    (await ground.pool.query('select owner from whence.batch_attempts where committed is null order by 1')).rows;
  const said = await whence(['prune', '--dry-run', '--json'], { env });
  expect(said.code, said.stderr).toBe(0);
  const json: unknown = JSON.parse(said.stdout);
  expect(json).toMatchObject({ dryRun: true, attempts: { count: 2 }, versions: { oldestKept: 1 } });
  expect(await owners()).toHaveLength(3);
  const done = await whence(['prune'], { env });
  expect(done.stdout).toMatch(/^Removed:\n(.*\n)*.*attempts left behind +2 /);
  expect(await owners()).toEqual([{ owner: 'at work' }]);
});

test('a worker that is asked to stop ends in order', async () => {
  worker.kill('SIGTERM');
  const { exitCode, stderr } = await worker;
  expect(exitCode).toBe(0);
  expect(stderr).toContain('stopped');
});
