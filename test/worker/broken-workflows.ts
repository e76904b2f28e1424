/** A change that must not be deployed: the day is compared before it is computed. */

import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../../activities/activities.ts';

const { recordCorrections, beginAttempt } = proxyActivities<Activities>({ startToCloseTimeout: '1 minute' });

export async function reconcileDay({ day }: { day: string }): Promise<void> {
  await recordCorrections();
  await beginAttempt({ days: [day], cause: 'broken', owner: 'broken' });
}
