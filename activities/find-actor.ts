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
