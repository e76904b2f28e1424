import { WorkflowFailedError, WorkflowUpdateFailedError } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { RunningWorker } from '../../worker/start-worker.ts';
import type { BackfillInput, BackfillOutcome } from '../../workflows/backfill.ts';
import type { BackfillProgress } from '../../workflows/backfill-progress.ts';
import type { LittleWorld } from '../batch/little-world.ts';
import { expectServed } from '../streaming/served.ts';
import { archivedWorld, DAY, openTemporalGround, reasonOf, type TemporalGround } from './temporal-ground.ts';

const LAST = '2025-11-28';
const RANGE = { from: DAY, to: LAST };
const DAYS = 5;

let temporal: TemporalGround;
let little: LittleWorld;
let worker: RunningWorker;
beforeAll(async () => {
  temporal = await openTemporalGround();
});
beforeEach(async () => {
  little = await archivedWorld(temporal.ground, 4, DAYS);
  worker = await temporal.startWorker(little);
});
afterEach(() => worker.stop());
afterAll(() => temporal.stop());

let started = 0;
async function start(input: unknown) {
  const { client, taskQueue } = temporal;
  return client.workflow.start<(asked: BackfillInput) => Promise<BackfillOutcome>>('backfill', {
    workflowId: `backfill ${++started}`,
    taskQueue,
    args: [input as BackfillInput],
  });
}
type Handle = Awaited<ReturnType<typeof start>>;

async function reach(handle: Handle, phase: BackfillProgress['phase']): Promise<BackfillProgress> {
  const progress = () => handle.query<BackfillProgress>('progress');
  await expect.poll(async () => (await progress()).phase, { timeout: 60_000 }).toBe(phase);
  return progress();
}

async function query<Row>(sql: string): Promise<Row[]> {
  return (await temporal.ground.pool.query<Row & object>(sql)).rows;
}

const versions = () => query<object>('select version, cause, actor from whence.versions order by version');

test('days are computed at once and committed one by one, in order; the answer is the oracle’s', async () => {
  const outcome = await (await start({ ...RANGE, parallel: 3 })).result();
  expect(outcome).toMatchObject({ status: 'completed', days: DAYS, failed: [], version: DAYS, playsChanged: 4 * DAYS });
  expect(await versions()).toEqual(
    little.days.map((day, i) => ({
      version: i + 1,
      cause: `backfill ${day}, of ${DAY} to ${LAST}`,
      actor: 'a tester',
    })),
  );
  await expectServed(temporal.ground.pool, [...little.log], 'batch');
  expect(await query('select status, actor, approved_by from whence.backfills')).toEqual([
    { status: 'completed', actor: 'a tester', approved_by: null },
  ]);
  // Now that units were measured, there is an estimate, and after it by how much it was wrong.
  const again = await (await start({ ...RANGE, order: 'newest' })).result();
  expect(again).toMatchObject({ days: DAYS, playsChanged: 0, version: 2 * DAYS });
  expect(again.estimate).toMatchObject({ records: 16 * DAYS, plays: 4 * DAYS, seconds: expect.any(Number) as number });
  expect(again.estimateError).toEqual(expect.any(Number));
});

test('a preview commits nothing before it is approved, says what would change, and keeps who approved', async () => {
  const handle = await start({ ...RANGE, preview: true });
  const { preview } = await reach(handle, 'awaiting approval');
  expect(preview).toMatchObject({ version: 0, plays: 4 * DAYS, byChange: { new: 4 * DAYS } });
  expect(preview?.top[0]).toMatchObject({ change: 'new', from_row: null, plays: 4 * DAYS });
  expect(await versions()).toEqual([]);
  const wrong: unknown = await handle
    .executeUpdate('approve', { args: [{ version: 7 }] })
    .catch((error: unknown) => error);
  expect(wrong).toBeInstanceOf(WorkflowUpdateFailedError);
  expect(await handle.executeUpdate('approve', { args: [{ actor: 'ann' }] })).toBe('ann');
  expect(await handle.result()).toMatchObject({ status: 'completed', days: DAYS, approvedBy: 'ann' });
  expect((await versions())[0]).toMatchObject({ cause: `backfill ${DAY}, of ${DAY} to ${LAST}, approved by ann` });
  expect(await query('select approved_by from whence.backfills')).toEqual([{ approved_by: 'ann' }]);
  await expectServed(temporal.ground.pool, [...little.log], 'batch');
});

test('a preview that another commit outdated is not approved, but computed and shown again', async () => {
  const handle = await start({ ...RANGE, preview: true });
  await reach(handle, 'awaiting approval');
  await temporal.reconcile(DAY);
  const refused = await handle.executeUpdate('approve').catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(WorkflowUpdateFailedError);
  expect((refused as WorkflowUpdateFailedError).cause?.message).toContain('another was committed since');
  const { preview } = await reach(handle, 'awaiting approval');
  expect(preview).toMatchObject({ version: 1, byChange: { new: 4 * (DAYS - 1) } });
  expect(await handle.executeUpdate('approve')).toBe('a tester');
  expect(await handle.result()).toMatchObject({ status: 'completed', version: 1 + DAYS });
});

test('a preview that is rejected changes nothing and leaves nothing behind but what it found', async () => {
  const handle = await start({ ...RANGE, preview: true });
  await reach(handle, 'awaiting approval');
  expect(await handle.executeUpdate('reject', { args: [{ actor: 'bob' }] })).toBe('bob');
  expect(await handle.result()).toMatchObject({ status: 'rejected', days: 0 });
  expect(await versions()).toEqual([]);
  expect(await query('select count(*) as n from whence.batch_staged_plays')).toEqual([{ n: 0 }]);
  expect(await query('select rejected_by, status from whence.backfills')).toEqual([
    { rejected_by: 'bob', status: 'rejected' },
  ]);
});

test('paused it takes no more work; resumed it goes on; cancelled, what is committed stays', async () => {
  await worker.stop();
  let handle: Handle | null = null;
  let pauseAt = 2;
  worker = await temporal.startWorker(little, {
    steps: {
      async commit(step) {
        if (step === 'begun' && --pauseAt === 0) await handle?.signal('pause');
      },
    },
  });
  handle = await start({ ...RANGE, parallel: 1 });
  expect(await reach(handle, 'paused')).toBeDefined();
  const paused = handle;
  await expect
    .poll(async () => (await paused.query<BackfillProgress>('progress')).days, { timeout: 20_000 })
    .toMatchObject({ done: 2, left: 3 });
  expect(await versions()).toHaveLength(2);
  await handle.cancel();
  const failure: unknown = await handle.result().catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(WorkflowFailedError);
  expect(await query('select status from whence.backfills')).toEqual([{ status: 'cancelled' }]);
  const rest = await start({ ...RANGE, only: 'missing' });
  await rest.signal('pause');
  await rest.signal('resume');
  expect(await rest.result()).toMatchObject({ status: 'completed', days: 3, version: DAYS });
  expect(await (await start({ ...RANGE, only: 'missing' })).result()).toMatchObject({ days: 0, status: 'completed' });
});

test('a day whose audit fails is left out with the reason, and can be asked for again alone', async () => {
  const { pool } = temporal.ground;
  await pool.query(`
    create function whence.find_fault() returns trigger language plpgsql as $$ begin
      new.result := jsonb_set(new.result, '{findings}', '["an event is in no play"]'); return new;
    end $$`);
  await pool.query(`
    create trigger fault before update on whence.batch_units for each row
    when (new.result is not null and new.spec ->> 'day' = '2025-11-26') execute function whence.find_fault()`);
  try {
    const outcome = await (await start(RANGE)).result();
    expect(outcome).toMatchObject({ status: 'completed_with_failures', days: DAYS - 1 });
    expect(outcome.failed).toMatchObject([{ day: '2025-11-26' }]);
    expect(outcome.failed[0].reason).toContain('an event is in no play');
  } finally {
    await pool.query('drop trigger fault on whence.batch_units');
    await pool.query('drop function whence.find_fault');
  }
  expect(await (await start({ ...RANGE, only: 'failed' })).result()).toMatchObject({ days: 1, version: DAYS });
  await expectServed(pool, [...little.log], 'batch');
});

test('a fresh day is committed while a backfill runs, which begins again with what is left', async () => {
  const handle = await start({ from: '2025-11-24', to: '2025-12-08', parallel: 1 });
  await expect.poll(async () => (await versions()).length, { timeout: 60_000 }).toBeGreaterThan(0);
  await temporal.reconcile('2025-12-10');
  expect(await handle.describe()).toMatchObject({ status: { name: 'RUNNING' } });
  expect(await handle.result()).toMatchObject({ status: 'completed', days: 15 });
  expect(await versions()).toHaveLength(16);
  await expectServed(temporal.ground.pool, [...little.log], 'batch');
});

test('a long range is done by several runs, which carry on where the one before ended', async () => {
  const handle = await start({ from: '2025-11-04', to: LAST, parallel: 4 });
  expect(await handle.result()).toMatchObject({ status: 'completed', days: 25, version: 25 });
  expect((await temporal.client.workflow.getHandle(handle.workflowId).describe()).runId).not.toBe(
    handle.firstExecutionRunId,
  );
  expect(await query('select count(*) as n from whence.backfill_days where status = $$done$$')).toEqual([{ n: 25 }]);
});

test.each([
  [{ from: LAST, to: DAY }, `from ${LAST} is after to ${DAY}; swap them`],
  [{ ...RANGE, parallel: 0 }, 'parallel: expected a whole number of days at once, 1 to 16, found 0'],
  [{ from: 'monday', to: DAY }, 'from: expected a UTC date such as "2026-11-23", found "monday"'],
  [{ from: '2020-01-01', to: LAST, preview: true }, 'A preview takes at most 92 days'],
])('input that makes no sense fails at once with words that help: %j', async (input, words) => {
  const failure: unknown = await (await start(input)).result().catch((error: unknown) => error);
  if (!(failure instanceof WorkflowFailedError)) throw new Error('it did not fail', { cause: failure });
  expect(reasonOf(failure)).toContain(words);
});
