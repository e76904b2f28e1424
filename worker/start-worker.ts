import { type NativeConnection, Worker } from '@temporalio/worker';
import { createActivities, type ActivitySteps } from '../activities/activities.ts';
import type { BatchDeps } from '../batch/advance.ts';
import { codeVersion } from '../batch/datasets/code-version.ts';
import type { Health } from '../platform/health.ts';
import { provideSearchAttributes } from '../platform/search-attributes.ts';
import { connectWorkerTransport, type TemporalOptions } from '../platform/temporal.ts';
import { temporalLogger } from './temporal-log.ts';
import { provideWorkflowBundle } from './workflow-bundle.ts';

export interface WorkerOptions {
  temporal: TemporalOptions;
  taskQueue: string;
  deps: BatchDeps;
  /** Activities at once; each may take `deps.memoryLimit` for DuckDB. */
  concurrency: number;
  steps?: ActivitySteps;
}

export interface RunningWorker {
  /** Fulfilled when the worker has ended in order, rejected when it failed. */
  readonly done: Promise<void>;
  /** Takes no more work, and gives what runs some seconds to end; what does not, another worker does again. */
  stop(): Promise<void>;
  /** Whether it takes work from Temporal. A unit that hangs is Temporal's to notice, by its heartbeat. */
  health(): Health;
}

/** Work that is nearly done should not be lost by a restart. */
const SHUTDOWN_GRACE = '10s';
/** Activities that do not heed their cancellation are left to end with the process. */
const SHUTDOWN_FORCE = '20s';

/**
 * Starts a worker of the batch layer: all workflows and activities, on one task queue.
 *
 * @throws TemporalUnavailableError
 */
export async function startWorker(options: WorkerOptions): Promise<RunningWorker> {
  // Datasets name the code that wrote them: what it is now, whatever an update in place makes of the sources later.
  await codeVersion();
  const { deps } = options;
  const connection = await connectWorkerTransport(options.temporal);
  try {
    const problem = await provideSearchAttributes(connection, options.temporal.namespace);
    if (problem !== null) deps.log.warn(problem);
    const worker = await Worker.create({
      connection,
      namespace: options.temporal.namespace,
      taskQueue: options.taskQueue,
      workflowBundle: { codePath: await provideWorkflowBundle(temporalLogger(deps.log)) },
      activities: createActivities(deps, options.steps),
      maxConcurrentActivityTaskExecutions: options.concurrency,
      shutdownGraceTime: SHUTDOWN_GRACE,
      shutdownForceTime: SHUTDOWN_FORCE,
    });
    const done = run(worker, connection);
    // Whoever only stops it hears of a failure there.
    done.catch(() => {});
    return {
      done,
      async stop() {
        if (worker.getState() === 'RUNNING') worker.shutdown();
        await done;
      },
      health() {
        const state = worker.getState();
        const healthy = state === 'RUNNING';
        const reason = `takes no work from Temporal: it is ${state}`;
        return { healthy, ready: healthy, faults: healthy ? [] : [{ what: 'worker', reason }] };
      },
    };
  } catch (error) {
    await connection.close();
    throw error;
  }
}

async function run(worker: Worker, connection: NativeConnection): Promise<void> {
  try {
    await worker.run();
  } finally {
    await connection.close();
  }
}
