import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { DeterminismViolationError } from '@temporalio/workflow';
import { bundleWorkflowCode, DefaultLogger, Worker } from '@temporalio/worker';
import { expect, test } from 'vitest';
import { silentLogger } from '../../platform/log.ts';
import { installRuntime } from '../../worker/temporal-log.ts';
import { provideWorkflowBundle } from '../../worker/workflow-bundle.ts';

const HISTORIES = fileURLToPath(new URL('histories/', import.meta.url));
const names = fs.readdirSync(HISTORIES);
const logger = new DefaultLogger('ERROR', () => {});

installRuntime(silentLogger());

function workflowOf(name: string): string {
  return name.split('.').at(-2) ?? '';
}

function read(name: string): unknown {
  return JSON.parse(fs.readFileSync(`${HISTORIES}${name}`, 'utf8'));
}

test.each(names)('what ran when %s was recorded goes on with the workflows of today', async (name) => {
  const codePath = await provideWorkflowBundle(logger);
  // The id by which it was recorded: the ids of children follow from it.
  await Worker.runReplayHistory({ workflowBundle: { codePath } }, read(name), workflowOf(name));
});

test('there is a history of every workflow', async () => {
  const workflows = Object.keys(await import('../../workflows/index.ts'));
  const recorded = new Set(names.map(workflowOf));
  expect(workflows.filter((workflow) => !recorded.has(workflow))).toEqual([]);
});

test('a change that would break what runs is caught', async () => {
  const workflowsPath = fileURLToPath(new URL('broken-workflows.ts', import.meta.url));
  const { code } = await bundleWorkflowCode({ workflowsPath, logger });
  const [name] = names.filter((each) => each.includes('.reconcileDay.'));
  const replay = Worker.runReplayHistory({ workflowBundle: { code } }, read(name));
  await expect(replay).rejects.toThrow(DeterminismViolationError);
});
