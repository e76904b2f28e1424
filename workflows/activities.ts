import { proxyActivities, workflowInfo } from '@temporalio/workflow';
import type { Priority } from '@temporalio/common';
import type { Activities } from '../activities/activities.ts';

// One proxy for each class of time limits. What fails by infrastructure is tried again until it works, or the limit of the
// whole is reached: whoever watches sees the last failure in the UI. What cannot succeed fails at once (activities/beating.ts).

const retry = { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '1 minute' } as const;

/** Reads or changes a few rows. */
export const quick = proxyActivities<Activities>({
  startToCloseTimeout: '1 minute',
  scheduleToCloseTimeout: '1 hour',
  retry,
});

/** Of what works on files and many rows, and sends heartbeats: a lost worker is noticed soon. */
const LONG = {
  startToCloseTimeout: '6 hours',
  scheduleToCloseTimeout: '1 day',
  heartbeatTimeout: '20s',
  retry,
} as const;

/** @param more the priority of a backfill, say; whoever kills workers in a test has them missed sooner, by the workflow's memo */
export function longActivities(more: { priority?: Priority } = {}) {
  const heartbeatTimeout = (workflowInfo().memo?.['heartbeatTimeout'] as number | undefined) ?? LONG.heartbeatTimeout;
  return proxyActivities<Activities>({ ...LONG, ...more, heartbeatTimeout });
}

/** What can as well be done tomorrow: the daily cycle must not wait for it for long. */
export const housekeeping = proxyActivities<Activities>({ ...LONG, retry: { ...retry, maximumAttempts: 5 } });
