/**
 * Records a history of each workflow as it runs now: `npx tsx test/worker/record-histories.ts NAME`, with a name for this state of
 * the workflows. Histories of what was released stay for ever: what runs in Temporal when we deploy must go on.
 */

import fs from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { foundBy } from '../../workflows/found-by.ts';
import { temporalCommand } from '../../local/temporal.ts';
import { archivedWorld, DAY, openTemporalGround } from './temporal-ground.ts';

const [name] = process.argv.slice(2);
if (name === undefined) throw new Error('Say under which name: npx tsx test/worker/record-histories.ts NAME');

const temporal = await openTemporalGround();
const worker = await temporal.startWorker(await archivedWorld(temporal.ground, 2));
try {
  await temporal.reconcile(DAY);
  await record(`reconcileDay/${DAY}`, 'reconcileDay');
  const { client, taskQueue } = temporal;
  const dataset = { name: 'recorded', negatives: 0.5 };
  await client.workflow.execute('dailyCycle', {
    workflowId: 'dailyCycle',
    taskQueue,
    args: [{ dataset }],
    typedSearchAttributes: foundBy('dailyCycle', {}),
  });
  await record('dailyCycle', 'dailyCycle');
  const days = { from: DAY, to: '2025-11-25' };
  const backfill = await client.workflow.start('backfill', {
    workflowId: 'backfill',
    taskQueue,
    args: [{ ...days, preview: true }],
  });
  // Refused until there is something to approve.
  while (!(await backfill.executeUpdate('approve').then(Boolean, () => false))) await sleep(200);
  await backfill.result();
  await record('backfill', 'backfill');
  const request = { ...dataset, from: DAY, to: DAY };
  await client.workflow.execute('buildDataset', { workflowId: 'buildDataset', taskQueue, args: [request] });
  await record('buildDataset', 'buildDataset');
  await client.workflow.execute('rollback', { workflowId: 'rollback', taskQueue, args: [{ version: 1 }] });
  await record('rollback', 'rollback');
  await client.workflow.execute('release', { workflowId: 'release', taskQueue, args: [{}] });
  await record('release', 'release');
  await client.workflow.execute('prune', { workflowId: 'prune', taskQueue, args: [{}] });
  await record('prune', 'prune');
} finally {
  await worker.stop();
  await temporal.stop();
}

async function record(workflowId: string, workflow: string): Promise<void> {
  const address = `--address=${temporal.temporal.address}`;
  const program = await temporalCommand(console.error);
  const { stdout } = await execa(program, [
    'workflow',
    'show',
    '--output=json',
    `--workflow-id=${workflowId}`,
    address,
  ]);
  // Stacks of failures name the folders of this machine.
  const history = stdout.replaceAll(fileURLToPath(new URL('../../', import.meta.url)), '');
  await fs.writeFile(new URL(`histories/${name}.${workflow}.json`, import.meta.url), `${history}\n`);
}
