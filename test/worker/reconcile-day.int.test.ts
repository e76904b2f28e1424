import { WorkflowFailedError } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { BatchDeps } from '../../batch/advance.ts';
import type { RunningWorker } from '../../worker/start-worker.ts';
import { expectServed } from '../streaming/served.ts';
import { archivedWorld, DAY, openTemporalGround, reasonOf, type TemporalGround } from './temporal-ground.ts';

const NEXT = '2025-11-25';

interface Gate {
  promise: Promise<void>;
  resolve: () => void;
}

function gate(): Gate {
  let open = () => {};
  const promise = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { promise, resolve: open };
}

let temporal: TemporalGround;
let worker: RunningWorker | null = null;
beforeAll(async () => {
  temporal = await openTemporalGround();
});
afterEach(async () => {
  await worker?.stop();
  worker = null;
});
afterAll(() => temporal.stop());

function start(workflowId: string, input: unknown) {
  const { client, taskQueue } = temporal;
  return client.workflow.start('reconcileDay', { workflowId, taskQueue, args: [input] });
}

async function failureOf(workflowId: string, input: unknown): Promise<string> {
  const handle = await start(workflowId, input);
  const failure: unknown = await handle.result().catch((error: unknown) => error);
  if (!(failure instanceof WorkflowFailedError)) throw new Error('it did not fail', { cause: failure });
  return reasonOf(failure);
}

async function leftovers(): Promise<unknown> {
  const { rows } = await temporal.ground.pool.query(
    `select (select count(*) from whence.batch_attempts where committed is null) as attempts,
       (select count(*) from whence.batch_staged_plays) as plays, (select count(*) from whence.batch_versions) as versions`,
  );
  return rows[0];
}

test('a day is covered, the outcome says what changed, and the version who asked', async () => {
  const little = await archivedWorld(temporal.ground);
  worker = await temporal.startWorker(little);
  const outcome = await temporal.reconcile(DAY);
  expect(outcome).toMatchObject({
    days: [DAY],
    version: 1,
    plays: 20,
    playsChanged: 20,
    records: 80,
    corrections: 0,
    watermark: 'complete',
  });
  expect(await temporal.reconcile(NEXT)).toMatchObject({ version: 2, plays: 20, dirtyKeys: 0 });
  const { rows } = await temporal.ground.pool.query('select version, cause, actor from whence.versions order by 1');
  expect(rows).toEqual([
    { version: 1, cause: `reconcile ${DAY}`, actor: 'a tester' },
    { version: 2, cause: `reconcile ${NEXT}`, actor: 'a tester' },
  ]);
  await expectServed(temporal.ground.pool, [...little.log], 'batch');
});

test.each([
  ['nothing', undefined, 'expected one JSON object, found nothing'],
  ['a text', '2025-11-24', 'expected one JSON object, found "2025-11-24"'],
  ['no day', {}, 'day: expected a UTC date such as "2026-11-23", found nothing'],
  ['a day that is none', { day: '2025-02-30' }, 'day: expected a UTC date such as "2026-11-23", found "2025-02-30"'],
  ['a field too many', { day: DAY, days: 3 }, '"days" is no field of it (it has day)'],
])('input that is wrong fails at once, with words that help: %s', async (name, input, words) => {
  worker = await temporal.startWorker(await archivedWorld(temporal.ground, 1));
  const reason = await failureOf(`wrong ${name}`, input);
  expect(reason).toContain(words);
  expect(reason).toContain('such as {"day":"2026-11-23"}');
});

test('cancelled while it computes, it ends, and leaves nothing behind', async () => {
  const reached = gate();
  const goOn = gate();
  const little = await archivedWorld(temporal.ground);
  worker = await temporal.startWorker(little, {
    steps: {
      async unit(step) {
        if (step !== 'stage') return;
        reached.resolve();
        await goOn.promise;
      },
    },
  });
  const handle = await start('cancelled', { day: DAY });
  await reached.promise;
  await handle.cancel();
  goOn.resolve();
  const failure: unknown = await handle.result().catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(WorkflowFailedError);
  expect(await handle.describe()).toMatchObject({ status: { name: 'CANCELLED' } });
  expect(await leftovers()).toEqual({ attempts: 0, plays: 0, versions: 0 });
});

test('of two at once one commits first, and the other begins again on top of it', async () => {
  const little = await archivedWorld(temporal.ground);
  let computed = 0;
  const both = gate();
  worker = await temporal.startWorker(little, {
    steps: {
      // None commits before both have computed from the same version.
      async unit(step) {
        if (step !== 'staged') return;
        if (++computed === 2) both.resolve();
        await both.promise;
      },
    },
  });
  const outcomes = await Promise.all([temporal.reconcile(DAY), temporal.reconcile(NEXT)]);
  expect(outcomes.map((outcome) => outcome.version).sort()).toEqual([1, 2]);
  expect(computed).toBe(3);
  await expectServed(temporal.ground.pool, [...little.log], 'batch');
});

test('what fails by infrastructure is tried again, what is wrong with the work ends it with the reason', async () => {
  const little = await archivedWorld(temporal.ground);
  let failures = 0;
  worker = await temporal.startWorker(little, {
    steps: {
      unit(step) {
        if (step === 'derive' && ++failures <= 2) throw new Error('the disk is full');
      },
    },
  });
  expect(await temporal.reconcile(DAY)).toMatchObject({ version: 1, plays: 20 });
  expect(failures).toBe(3);
  await worker.stop();
  // A play that a unit computed and that is no more: the audit of the next attempt must find that its events are in none.
  const { pool } = temporal.ground;
  await pool.query(`
    create function whence.lose_a_unit() returns trigger language plpgsql as $$ begin
      new.result := jsonb_set(new.result, '{findings}', '["an event is in no play"]'); return new;
    end $$`);
  await pool.query(`
    create trigger lose before update on whence.batch_units for each row when (new.result is not null)
    execute function whence.lose_a_unit()`);
  try {
    worker = await temporal.startWorker(little);
    const reason = await failureOf('audited', { day: NEXT });
    expect(reason).toContain('The audit failed, and nothing was committed:\n  - an event is in no play');
    expect(await leftovers()).toEqual({ attempts: 0, plays: 0, versions: 1 });
  } finally {
    await pool.query('drop trigger lose on whence.batch_units');
    await pool.query('drop function whence.lose_a_unit');
  }
});

test('a worker that is stopped in the middle gives its work up, and the next one does it', async () => {
  const little = await archivedWorld(temporal.ground);
  const reached = gate();
  const first = await temporal.startWorker(little, {
    steps: {
      async unit(step) {
        if (step !== 'stage') return;
        reached.resolve();
        // Until it is cancelled by the end of the grace.
        await new Promise((resolve) => setTimeout(resolve, 12_000));
      },
    },
  });
  const outcome = temporal.reconcile(DAY);
  await reached.promise;
  await first.stop();
  worker = await temporal.startWorker(little);
  expect(await outcome).toMatchObject({ version: 1, plays: 20 });
});

test('a policy that cannot apply to the day alone fails at once, and says what to do', async () => {
  const little = await archivedWorld(temporal.ground);
  worker = await temporal.startWorker(little);
  await temporal.reconcile(DAY);
  await worker.stop();
  const { policy } = little.deps;
  const rules = { ...policy.rules.batch, stitchingGap: policy.rules.batch.stitchingGap * 2 };
  const deps: BatchDeps = {
    ...little.deps,
    policy: { ...policy, name: 'wider', hash: 'wider', rules: { ...policy.rules, batch: rules } },
  };
  worker = await temporal.startWorker(little, { deps });
  expect(await failureOf('wider', { day: NEXT })).toContain(
    'The policy "wider" has another stitching_gap or allowed_lateness',
  );
});
