import { defineSearchAttributeKey } from '@temporalio/common';
import { defineQuery, setHandler, sleep, workflowInfo } from '@temporalio/workflow';
import { z } from 'zod';
import type { AdvanceOutcome } from '../activities/activities.ts';
import { quick } from './activities.ts';
import { Advance, type AdvanceProgress } from './advance.ts';
import { readInput } from './input.ts';

export interface DailyCycleInput {
  /** How long, from the scheduled time, the archive is waited for; 360 by default. */
  waitMinutes?: number;
}

export interface DailyCycleOutcome {
  day: string;
  /** Whether the archive had passed the day when it was computed; what came later finds its day by itself, the day after. */
  archiveHadPassed: boolean;
  reconciled: AdvanceOutcome;
}

export interface DailyCycleProgress {
  day: string;
  /** Null while the archive is waited for. */
  advance: AdvanceProgress | null;
}

export const dailyCycleProgress = defineQuery<DailyCycleProgress | null>('progress');

const SHAPE = {
  waitMinutes: z
    .number({ error: 'expected a number of minutes, 0 to 1440' })
    .min(0, { error: 'expected a number of minutes, 0 to 1440' })
    .max(1440, { error: 'expected a number of minutes, 0 to 1440' })
    .optional(),
};
const EXAMPLE = { waitMinutes: 360 };

/** The time for which a schedule started this run: in a schedule's backfill, one of the past. */
const SCHEDULED_TIME = defineSearchAttributeKey('TemporalScheduledStartTime', 'DATETIME');
const WAIT_MINUTES = 360;
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
/** Plays of the day may go on until then, and what is on time may arrive until then. */
const SETTLED_AFTER = 40 * MINUTE;

/**
 * What is to be done each day: computes the day before the scheduled time, with what became dirty. A run of a schedule first waits
 * until the archive has passed that day; one that was started by hand takes yesterday, as it is.
 *
 * Its input may be empty: {}.
 */
export async function dailyCycle(input: DailyCycleInput): Promise<DailyCycleOutcome> {
  let advance: Advance | null = null;
  const scheduled = workflowInfo().typedSearchAttributes.get(SCHEDULED_TIME);
  const midnight = Math.floor((scheduled ?? workflowInfo().startTime).getTime() / DAY) * DAY;
  const day = new Date(midnight - DAY).toISOString().slice(0, 10);
  setHandler(dailyCycleProgress, () => ({ day, advance: advance?.progress ?? null }));
  const { waitMinutes = WAIT_MINUTES } = readInput('dailyCycle', SHAPE, EXAMPLE, input);
  const until = new Date(midnight + SETTLED_AFTER).toISOString();
  const archiveHadPassed = await waitForArchive(until, scheduled ?? null, waitMinutes * MINUTE);
  advance = new Advance({ days: [day], cause: `daily cycle ${day}` });
  return { day, archiveHadPassed, reconciled: await advance.run() };
}

/** @returns whether the archive has passed `until` */
async function waitForArchive(until: string, scheduled: Date | null, limitMs: number): Promise<boolean> {
  for (let wait = MINUTE; ; wait = Math.min(wait * 2, 10 * MINUTE)) {
    if (await quick.hasArchivePassed({ until })) return true;
    // Time in a workflow is that of its history.
    if (scheduled === null || Date.now() >= scheduled.getTime() + limitMs) return false;
    await sleep(wait);
  }
}
