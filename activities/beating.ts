import { ApplicationFailure, Context } from '@temporalio/activity';
import { DatasetBuildGoneError, DatasetFaultError } from '../batch/datasets/errors.ts';
import {
  AttemptGoneError,
  AuditFailedError,
  BatchRequestError,
  CommitLostError,
  VersionHeldError,
} from '../batch/errors.ts';

/** However often it is tried again, it ends the same. */
const FINAL = [
  BatchRequestError,
  CommitLostError,
  AttemptGoneError,
  AuditFailedError,
  DatasetBuildGoneError,
  DatasetFaultError,
  VersionHeldError,
];

/**
 * Runs the work of an activity with a heartbeat every few seconds, which also brings the news that it was cancelled.
 *
 * @param work is given the signal of its cancellation, and a function that says where it is
 * @throws ApplicationFailure, non-retryable, for what cannot succeed, its type being the error's name; CancelledFailure; what
 *   else `work` throws is tried again by Temporal
 */
export async function beating<Result>(
  work: (signal: AbortSignal, at: (step: string) => void) => Promise<Result>,
): Promise<Result> {
  const context = Context.current();
  let step = 'begun';
  const { heartbeatTimeoutMs = Infinity } = context.info;
  const timer = setInterval(() => context.heartbeat(step), Math.min(HEARTBEAT_MS, heartbeatTimeoutMs / 4));
  try {
    return await work(context.cancellationSignal, (now) => context.heartbeat((step = now)));
  } catch (error) {
    if (context.cancellationSignal.aborted) return await context.cancelled;
    if (error instanceof Error && FINAL.some((each) => error instanceof each)) {
      throw ApplicationFailure.create({ type: error.name, nonRetryable: true, message: error.message });
    }
    throw error;
  } finally {
    clearInterval(timer);
  }
}

const HEARTBEAT_MS = 3_000;

/** Says each step in the heartbeats, and passes it on. */
export function noting<Step extends string>(
  at: (step: string) => void,
  then?: (step: Step) => void | Promise<void>,
): (step: Step) => Promise<void> {
  return async (step) => {
    at(step);
    await then?.(step);
  };
}
