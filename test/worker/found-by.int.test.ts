import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { temporalCommand } from '../../local/temporal.ts';
import { startTestStack, type TestStack } from '../../local/testing.ts';
import { provideSearchAttributes } from '../../platform/search-attributes.ts';
import { connectTemporal } from '../../platform/temporal.ts';
import { DAY, foundBy, KIND } from '../../workflows/found-by.ts';
import { whence } from '../cli/run.ts';
import { archivedWorld, DAY as ARCHIVED_DAY, openTemporalGround } from './temporal-ground.ts';

let stack: TestStack<'temporal'>;
beforeAll(async () => {
  stack = await startTestStack({ services: ['temporal'] });
});
afterAll(() => stack.stop());

/** A namespace of its own, in which nobody has made search attributes. */
async function createNamespace(namespace: string) {
  const { address } = stack.temporal;
  const { client, close } = await connectTemporal({ address, namespace: 'default' });
  await client.workflowService.registerNamespace({
    namespace,
    workflowExecutionRetentionPeriod: { seconds: 86_400 as unknown as never },
  });
  await close();
  const connect = () => connectTemporal({ address, namespace }).catch(() => null);
  await expect.poll(async () => (await connect())?.close().then(() => true), { timeout: 30_000 }).toBe(true);
  return connectTemporal({ address, namespace });
}

const LONGEST = { from: '2024-01-01', to: '2026-12-31' };

test('the attributes are made once, by whoever comes first, and the server takes what is put in them', async () => {
  const { client, close } = await createNamespace('fresh');
  const provide = () => provideSearchAttributes(client.connection, 'fresh');
  expect(await Promise.all([provide(), provide()])).toEqual([null, null]);
  expect(await provide()).toBeNull();
  for (const [workflowId, about] of Object.entries({ one: { day: '2026-11-23' }, all: LONGEST, none: {} })) {
    await client.workflow.start('any', { workflowId, taskQueue: 'none', typedSearchAttributes: foundBy('any', about) });
  }
  const found = async (query: string) => {
    const ids: string[] = [];
    for await (const run of client.workflow.list({ query })) ids.push(run.workflowId);
    return ids.sort();
  };
  await expect.poll(() => found(`WhenceKind = 'any'`), { timeout: 30_000 }).toEqual(['all', 'none', 'one']);
  expect(await found(`WhenceDay in ('2026-11-23', '2026-11')`)).toEqual(['all', 'one']);
  await close();
});

test('without them a run is started all the same, and says so', async () => {
  const { client, close } = await createNamespace('bare');
  const env = { TEMPORAL_ADDRESS: stack.temporal.address, TEMPORAL_NAMESPACE: 'bare' };
  const running = whence(['prune', '--json'], { env });
  const handle = client.workflow.getHandle('prune');
  await expect
    .poll(
      () =>
        handle.describe().then(
          () => true,
          () => false,
        ),
      { timeout: 60_000 },
    )
    .toBe(true);
  await handle.terminate();
  expect((await running).stderr).toContain(
    'Temporal has no search attributes of whence: this run is not found by day and kind',
  );
  await close();
});

test('a run that was started without them is found where the server knows them, and goes on where it does not', async () => {
  const temporal = await openTemporalGround();
  const { client, taskQueue } = temporal;
  const worker = await temporal.startWorker(await archivedWorld(temporal.ground, 2));
  const run = async (workflow: string, workflowId: string, input: object) =>
    client.workflow.execute(workflow, { workflowId, taskQueue, args: [input] });
  const found = async (query: string) => {
    const ids: string[] = [];
    for await (const { workflowId } of client.workflow.list({ query })) ids.push(workflowId);
    return ids.sort();
  };
  try {
    await run('reconcileDay', 'a day', { day: ARCHIVED_DAY });
    await run('backfill', 'days', { from: ARCHIVED_DAY, to: '2025-11-25' });
    await run('prune', 'no day', { dryRun: true });
    await expect.poll(() => found(`WhenceKind is not null`), { timeout: 30_000 }).toEqual(['a day', 'days', 'no day']);
    expect(await found(`WhenceDay = '2025-11-25' and WhenceKind = 'backfill'`)).toEqual(['days']);
    const program = await temporalCommand(() => {});
    await execa(program, [
      'operator',
      'search-attribute',
      'remove',
      '--yes',
      '--name=WhenceDay',
      `--address=${temporal.temporal.address}`,
    ]);
    await run('reconcileDay', 'a day again', { day: ARCHIVED_DAY });
    expect(await found(`WhenceKind = 'reconcileDay'`)).toEqual(['a day']);
  } finally {
    await worker.stop();
    await temporal.stop();
  }
}, 120_000);

test('a server that has others of the name, or refuses, is no failure: it says what is to be done', async () => {
  const { client, close } = await createNamespace('odd');
  const program = await temporalCommand(() => {});
  const address = `--address=${stack.temporal.address}`;
  const attribute = ['--name=WhenceDay', '--type=Int', '--namespace=odd'];
  await execa(program, ['operator', 'search-attribute', 'create', ...attribute, address]);
  const provide = (namespace: string) => provideSearchAttributes(client.connection, namespace);
  await expect
    .poll(() => provide('odd'), { timeout: 60_000 })
    .toBe('the search attribute WhenceDay is there, and is no KeywordList: workflows are not found by it');
  expect(await provide('nowhere')).toMatch(
    /^search attributes could not be added \(.*nowhere.*\): workflows run, and are not found by day and kind\. Whoever may/,
  );
  await close();
});

test('many days are named by their months; what is no day is left out', () => {
  expect(foundBy('backfill', { from: '2026-11-29', to: '2026-12-01' })).toEqual([
    { key: KIND, value: 'backfill' },
    { key: DAY, value: ['2026-11-29', '2026-11-30', '2026-12-01'] },
  ]);
  const months = foundBy('backfill', LONGEST)[1].value as string[];
  expect([months.length, months[0], months.at(-1)]).toEqual([36, '2024-01', '2026-12']);
  expect(foundBy('backfill', { from: 'x', to: '2026-12-01' })).toHaveLength(1);
  expect(foundBy('reconcileDay', { day: 'yesterday' })).toHaveLength(1);
});
