import type { Client, WorkflowHandle } from '@temporalio/client';
import { setTimeout as sleep } from 'node:timers/promises';
import { lacksSearchAttributes } from '../platform/search-attributes.ts';
import { onShutdown } from '../platform/shutdown.ts';
import { foundBy } from '../workflows/found-by.ts';
import { UsageError } from './failure.ts';
import { say } from './output.ts';
import type { WithTemporal } from './servers.ts';

/** A workflow ended without a result; the message says why. */
export class WorkflowEndedError extends Error {
  override readonly name = 'WorkflowEndedError';
}

/** Shows how far a workflow is, as its query `progress` tells. */
export interface ProgressView<Progress> {
  show(progress: Progress): void;
  stop(): void;
}

interface FollowOptions<Progress> {
  client: Client;
  taskQueue: string;
  view: ProgressView<Progress>;
}

const ASK_EVERY_MS = 500;
/** So long without anybody who works on it, we say so. */
const PATIENCE_MS = 5_000;

export interface RunOptions<Flow extends InputWorkflow, Progress> {
  /** Made of the input: whoever asks for the same meanwhile follows the same work. */
  workflowId: string;
  input: Parameters<Flow>[0];
  view: ProgressView<Progress>;
}

type InputWorkflow = (input: never) => Promise<unknown>;

/**
 * Starts a workflow, or joins the one that runs with this id, and follows it to its end. Throws as `followWorkflow`.
 *
 * @param name of the workflow `Flow`
 */
export async function runWorkflow<Flow extends InputWorkflow, Progress>(
  { client, settings }: WithTemporal,
  name: string,
  { workflowId, input, view }: RunOptions<Flow, Progress>,
): Promise<Awaited<ReturnType<Flow>>> {
  const { taskQueue } = settings;
  const options = {
    workflowId,
    workflowIdConflictPolicy: 'USE_EXISTING' as const,
    taskQueue,
    args: [input] as [Parameters<Flow>[0]],
  };
  const found = { ...options, typedSearchAttributes: foundBy(name, input) };
  const handle = await client.workflow.start(name, found).catch((error: unknown) => {
    // A worker makes them when it starts, if it may.
    if (!lacksSearchAttributes(error)) throw error;
    say('Temporal has no search attributes of whence: this run is not found by day and kind');
    return client.workflow.start(name, options);
  });
  say(`Workflow ${handle.workflowId}`);
  return followWorkflow<Awaited<ReturnType<Flow>>, Progress>(handle, { client, taskQueue, view });
}

/**
 * Follows a workflow to its end. Interrupted, it stops following; the workflow goes on.
 *
 * @throws WorkflowEndedError where it failed, was cancelled or terminated; UsageError where its input was wrong
 */
async function followWorkflow<Result, Progress>(
  handle: WorkflowHandle & { result(): Promise<Result> },
  { client, taskQueue, view }: FollowOptions<Progress>,
): Promise<Result> {
  const ended = new AbortController();
  const forget = onShutdown(() => {
    view.stop();
    say(`No longer following; the workflow ${handle.workflowId} goes on, in Temporal`);
    process.exit(130);
  });
  const watching = watch(handle, { client, taskQueue, view }, ended.signal);
  try {
    return await handle.result();
  } catch (error) {
    throw describeEnd(handle.workflowId, error);
  } finally {
    ended.abort();
    forget();
    await watching;
    view.stop();
  }
}

async function watch<Progress>(
  handle: WorkflowHandle,
  { client, taskQueue, view }: FollowOptions<Progress>,
  ended: AbortSignal,
): Promise<void> {
  const begun = performance.now();
  let told = false;
  while (!ended.aborted) {
    await sleep(ASK_EVERY_MS, undefined, { signal: ended }).catch(() => {});
    if (ended.aborted) return;
    if (!told && performance.now() - begun > PATIENCE_MS && !(await hasWorkers(client, taskQueue))) {
      told = true;
      say(`Nobody works on the task queue "${taskQueue}"; start a worker beside: npx whence worker`);
    }
    // A query needs a worker: without one it waits, and is of no use any more when the workflow has ended.
    const progress = await client
      .withDeadline(Date.now() + PATIENCE_MS, () => handle.query<Progress | null>('progress'))
      .catch(() => null);
    if (progress !== null && !ended.aborted) view.show(progress);
  }
}

async function hasWorkers(client: Client, taskQueue: string): Promise<boolean> {
  const { pollers } = await client.workflowService.describeTaskQueue({
    namespace: client.options.namespace,
    taskQueue: { name: taskQueue },
  });
  return (pollers ?? []).length > 0;
}

/** The reason is the innermost failure: "Workflow execution failed" and "Activity task failed" around it say nothing. */
function describeEnd(workflowId: string, error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  let reason = error;
  while (reason.cause instanceof Error) reason = reason.cause;
  if ('type' in reason && reason.type === 'InvalidInput') return new UsageError(reason.message);
  return new WorkflowEndedError(`${workflowId} ended without a result: ${reason.message}`);
}
