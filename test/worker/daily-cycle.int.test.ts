import { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { applySchedule, SCHEDULE_ID } from '../../cli/schedule.ts';
import { rollback } from '../../batch/rollback.ts';
import type { RunningWorker } from '../../worker/start-worker.ts';
import type { DailyCycleOutcome } from '../../workflows/daily-cycle.ts';
import type { LittleWorld } from '../batch/little-world.ts';
import { whence } from '../cli/run.ts';
import { archivedWorld, DAY, openTemporalGround, type TemporalGround } from './temporal-ground.ts';

const NEXT = '2025-11-25';
const AT_ONE = { hour: 1, minute: 0 };

let temporal: TemporalGround;
let little: LittleWorld;
let worker: RunningWorker;
/** Why housekeeping fails; null where it does not. */
let fault: string | null = null;
beforeAll(async () => {
  temporal = await openTemporalGround();
  little = await archivedWorld(temporal.ground);
  const fail = () => {
    if (fault !== null) throw ApplicationFailure.nonRetryable(fault);
  };
  worker = await temporal.startWorker(little, { steps: { prune: fail, compact: fail } });
});
beforeEach(async () => {
  fault = null;
  little = await archivedWorld(temporal.ground);
});
afterAll(async () => {
  await worker.stop();
  await temporal.stop();
});

function command(...args: string[]) {
  const env = { TEMPORAL_ADDRESS: temporal.temporal.address, WHENCE_TASK_QUEUE: temporal.taskQueue };
  return whence(['schedule', ...args], { env });
}

async function versions(): Promise<unknown[]> {
  const { rows } = await temporal.ground.pool.query(
    'select version, cause, actor from whence.versions order by version',
  );
  return rows;
}

/** Of the runs that the schedule starts on those days, one after the other; none of them runs any more. */
async function outcomesOf(days: string[]): Promise<DailyCycleOutcome[]> {
  await expect.poll(async () => (await versions()).length, { timeout: 120_000 }).toBe(days.length);
  return Promise.all(
    days.map((day) =>
      temporal.client.workflow
        .getHandle<(input: object) => Promise<DailyCycleOutcome>>(`dailyCycle-${day}T01:00:00Z`)
        .result(),
    ),
  );
}

test('started by hand it takes yesterday, as far as the archive is', async () => {
  const { client, taskQueue } = temporal;
  const outcome = await client.workflow.execute<(input: object) => Promise<DailyCycleOutcome>>('dailyCycle', {
    workflowId: 'by hand',
    taskQueue,
    args: [{}],
  });
  const yesterday = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);
  expect(outcome).toMatchObject({ day: yesterday, archiveHadPassed: true, reconciled: { plays: 0, version: 1 } });
  expect(outcome).toMatchObject({ pruned: { dryRun: false, versions: { oldestKept: 1 } }, pruneProblem: null });
  expect(outcome).toMatchObject({ compacted: { merged: 0, into: 0 }, compactProblem: null });
});

test('housekeeping that fails is told of, and no reason to call the day failed', async () => {
  const { client, taskQueue } = temporal;
  little = await archivedWorld(temporal.ground, 20, 2, 10);
  fault = 'the bucket is gone';
  const outcome = await client.workflow.execute<(input: object) => Promise<DailyCycleOutcome>>('dailyCycle', {
    workflowId: 'with a fault',
    taskQueue,
    args: [{}],
  });
  expect(outcome).toMatchObject({ reconciled: { version: 1 }, pruned: null, pruneProblem: fault });
  expect(outcome).toMatchObject({ compacted: null, compactProblem: fault });
  expect((await client.workflow.getHandle('with a fault').describe()).status.name).toBe('COMPLETED');
  fault = null;
  const after = await client.workflow.execute<(input: object) => Promise<DailyCycleOutcome>>('dailyCycle', {
    workflowId: 'without',
    taskQueue,
    args: [{}],
  });
  expect(after).toMatchObject({ pruneProblem: null, compacted: { merged: 15, into: 2 }, compactProblem: null });
});

test('a backfill of the schedule over past days does just those, in order', async () => {
  const { client, taskQueue } = temporal;
  await applySchedule(client, taskQueue, AT_ONE, { waitMinutes: 0, dataset: { name: 'daily' } }, true);
  await client.schedule.getHandle(SCHEDULE_ID).backfill({
    start: new Date('2025-11-25T00:00:00Z'),
    end: new Date('2025-11-27T12:00:00Z'),
    overlap: 'BUFFER_ALL',
  });
  expect(await outcomesOf([NEXT, '2025-11-26', '2025-11-27'])).toMatchObject([
    { day: DAY, dataset: null, datasetProblem: expect.stringContaining('does not cover 2025-11-23') as string },
    { day: NEXT, dataset: { name: 'daily', version: 1 } },
    { day: '2025-11-26', dataset: { name: 'daily', version: 2 } },
  ]);
  expect(await versions()).toMatchObject([
    { cause: `daily cycle ${DAY}` },
    { cause: `daily cycle ${NEXT}` },
    { cause: 'daily cycle 2025-11-26' },
  ]);
  const { rows } = await temporal.ground.pool.query(
    'select day::text as day, plays from whence.days where covered order by day',
  );
  expect(rows).toEqual([
    { day: DAY, plays: 20 },
    { day: NEXT, plays: 20 },
    { day: '2025-11-26', plays: 0 },
  ]);
  const found = async (query: string) => {
    const ids: string[] = [];
    for await (const { workflowId } of client.workflow.list({ query })) ids.push(workflowId);
    return ids.sort();
  };
  // The dataset that a run builds is of the day before the one that it reconciles.
  await expect
    .poll(() => found(`WhenceDay = '${DAY}'`), { timeout: 60_000 })
    .toEqual([`buildDataset/daily/${DAY}/dailyCycle-2025-11-26T01:00:00Z`, 'dailyCycle-2025-11-25T01:00:00Z']);
  expect(await found(`WhenceDay = '${DAY}' and WhenceKind = 'dailyCycle'`)).toEqual([
    'dailyCycle-2025-11-25T01:00:00Z',
  ]);
});

test('a run of the schedule waits for the archive, no longer than is said', async () => {
  const { client, taskQueue } = temporal;
  // The last day is archived, but nobody knows whether more of it is to come.
  await temporal.ground.pool.query('update whence.archive_tasks set quiet_since = null, end_seen_at = null');
  await applySchedule(client, taskQueue, AT_ONE, { waitMinutes: 1 });
  // Of a day that the archive has passed; of one that it has not, whose time to wait is over long ago. In one request: of two
  // that come at once, the scheduler keeps the last.
  await client.schedule.getHandle(SCHEDULE_ID).backfill({
    start: new Date(`${NEXT}T00:30:00Z`),
    end: new Date('2025-11-26T01:30:00Z'),
    overlap: 'BUFFER_ALL',
  });
  expect(await outcomesOf([NEXT, '2025-11-26'])).toMatchObject([
    { day: DAY, archiveHadPassed: true },
    { day: NEXT, archiveHadPassed: false },
  ]);
  expect(await versions()).toHaveLength(2);
});

test('a run of the schedule waits while a version is held, so that its day is not left out', async () => {
  const { client, taskQueue } = temporal;
  await little.reconcile(DAY);
  await rollback(little.deps, 1, 'ann');
  await applySchedule(client, taskQueue, AT_ONE, { waitMinutes: 0 });
  await client.schedule.getHandle(SCHEDULE_ID).backfill({
    start: new Date('2025-12-01T00:30:00Z'),
    end: new Date('2025-12-01T01:30:00Z'),
    overlap: 'BUFFER_ALL',
  });
  const handle = client.workflow.getHandle('dailyCycle-2025-12-01T01:00:00Z');
  const waits = async () => {
    const { events } = await handle.fetchHistory().catch(() => ({ events: [] }));
    return (events ?? []).some((event) => event.timerStartedEventAttributes != null);
  };
  await expect.poll(waits, { timeout: 60_000 }).toBe(true);
  expect(await versions()).toHaveLength(1);
  await handle.terminate();
});

test('the command makes the schedule, changes it, and shows it', async () => {
  const first = await command('apply', '--at', '02:30');
  expect(first).toMatchObject({ code: 0 });
  expect(first.stderr).toContain('every day at 02:30 UTC');
  expect((await command('apply', '--at', '03:00')).code).toBe(0);
  const shown = await command('show', '--json');
  const json: unknown = JSON.parse(shown.stdout);
  expect(json).toMatchObject({
    schedule: SCHEDULE_ID,
    paused: false,
    overlap: 'BUFFER_ALL',
    catchup_window_ms: 7 * 86_400_000,
    calendars: [{ hour: [{ start: 3 }], minute: [{ start: 0 }] }],
  });
  expect((await command('show')).stdout).toContain('Runs that overlap wait for each other');
  const wrong = await command('apply', '--at', 'noon');
  expect(wrong.code).toBe(1);
  expect(wrong.stderr).toContain('Expected a time such as 01:30.');
});

test('where there is no schedule, show says how to make one', async () => {
  await temporal.client.schedule.getHandle(SCHEDULE_ID).delete();
  const shown = await command('show');
  expect(shown.code).toBe(1);
  expect(shown.stderr).toContain('There is no schedule yet; make it with: npx whence schedule apply');
});
