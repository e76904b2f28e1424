import { Context } from '@temporalio/activity';

/**
 * Who started the workflow of this activity, as Temporal knows it: a person's or a program's identity, that of the scheduler
 * for a run of a schedule. "unknown" where it was given none (as by a UI without a login).
 */
export async function findActor(): Promise<string> {
  const { client, info } = Context.current();
  const { history } = await client.workflowService.getWorkflowExecutionHistory({
    namespace: info.namespace,
    execution: info.workflowExecution,
    maximumPageSize: 1,
  });
  return history?.events?.[0]?.workflowExecutionStartedEventAttributes?.identity || 'unknown';
}

/** Who sent an update to the workflow of this activity, as Temporal knows it; "unknown" as `findActor`. */
export async function findUpdater(updateId: string): Promise<string> {
  const { client, info } = Context.current();
  const { history } = await client.workflowService.getWorkflowExecutionHistoryReverse({
    namespace: info.namespace,
    execution: info.workflowExecution,
    maximumPageSize: UPDATE_LOOKED_FOR_IN,
  });
  for (const { workflowExecutionUpdateAcceptedEventAttributes: accepted } of history?.events ?? []) {
    const meta = accepted?.acceptedRequest?.meta;
    if (meta?.updateId === updateId && meta.identity) return meta.identity;
  }
  return 'unknown';
}

/** It was accepted a moment ago. */
const UPDATE_LOOKED_FOR_IN = 100;
