import { defineSearchAttributeKey } from '@temporalio/common';
import {
  ChildWorkflowFailure,
  defineQuery,
  executeChild,
  isCancellation,
  log,
  patched,
  rootCause,
  setCurrentDetails,
  setHandler,
  sleep,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { z } from 'zod';
import type { AdvanceOutcome } from '../activities/activities.ts';
import type { DatasetOutcome } from '../activities/dataset-activities.ts';
import type { CompactSummary, PruneSummary } from '../activities/retention-activities.ts';
import { housekeeping, quick } from './activities.ts';
import { Advance, type AdvanceProgress } from './advance.ts';
import { buildDataset, type BuildDatasetInput, DATASET_SHAPE } from './build-dataset.ts';
import { beFound, foundByAsWell, hasAttributes } from './found-as-well.ts';
import { DAY as DAY_ATTRIBUTE } from './found-by.ts';
import { reasonOf } from './failures.ts';
import { readInput } from './input.ts';

export interface DailyCycleInput {
  /** How long, from the scheduled time, the archive is waited for; 360 by default. */
  waitMinutes?: number;
  /** A dataset to build each day, of the impressions of the day before the one that is reconciled: its labels are settled by then. */
  dataset?: Omit<BuildDatasetInput, 'from' | 'to'>;
}

export interface DailyCycleOutcome {
  day: string;
  /** Whether the archive had passed the day when it was computed; what came later finds its day by itself, the day after. */
  archiveHadPassed: boolean;
  reconciled: AdvanceOutcome;
  /** Null where none was asked for, or it could not be built; then why. */
  dataset: DatasetOutcome | null;
  datasetProblem: string | null;
  /** What retention removed; null where it failed, then why. Neither in runs of before there was retention. */
  pruned?: PruneSummary | null;
  pruneProblem?: string | null;
  /** Of small files of the archive; as `pruned`. */
  compacted?: CompactSummary | null;
  compactProblem?: string | null;
}

export interface DailyCycleProgress {
  day: string;
  /** Null while the archive, or the release of a held version, is waited for. */
  advance: AdvanceProgress | null;
}

export const dailyCycleProgress = defineQuery<DailyCycleProgress | null>('progress');

const SHAPE = {
  waitMinutes: z
    .number({ error: 'expected a number of minutes, 0 to 1440' })
    .min(0, { error: 'expected a number of minutes, 0 to 1440' })
    .max(1440, { error: 'expected a number of minutes, 0 to 1440' })
    .optional(),
  dataset: z.strictObject(DATASET_SHAPE, { error: 'expected an object such as {"name":"daily"}' }).optional(),
};
const EXAMPLE = { waitMinutes: 360, dataset: { name: 'daily', negatives: 0.1 } };

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
  const { waitMinutes = WAIT_MINUTES, dataset } = readInput('dailyCycle', SHAPE, EXAMPLE, input);
  // A schedule starts all its runs with the same attributes: only the run knows its day.
  if (hasAttributes() && patched('search attributes')) upsertSearchAttributes([{ key: DAY_ATTRIBUTE, value: [day] }]);
  await beFound('dailyCycle', { day });
  const until = new Date(midnight + SETTLED_AFTER).toISOString();
  const archiveHadPassed = await waitForArchive(until, scheduled ?? null, waitMinutes * MINUTE);
  if (scheduled !== undefined && patched('wait for release')) await waitForRelease();
  advance = new Advance({ days: [day], cause: `daily cycle ${day}` });
  const reconciled = await advance.run();
  const built = dataset === undefined ? NO_DATASET : await build(dataset, new Date(midnight - 2 * DAY));
  const outcome: DailyCycleOutcome = { day, archiveHadPassed, reconciled, ...built };
  if (patched('prune')) {
    const { done, problem } = await ifPossible(() => housekeeping.prune({ dryRun: false }));
    Object.assign(outcome, { pruned: done, pruneProblem: problem });
  }
  if (patched('compact')) {
    const { done, problem } = await ifPossible(() => housekeeping.compactArchive());
    Object.assign(outcome, { compacted: done, compactProblem: problem });
  }
  return outcome;
}

const NO_DATASET = { dataset: null, datasetProblem: null };

/** A dataset that cannot be built (its day is not covered, say) is no reason to call the reconciliation failed. */
async function build(
  asked: NonNullable<DailyCycleInput['dataset']>,
  begin: Date,
): Promise<Pick<DailyCycleOutcome, 'dataset' | 'datasetProblem'>> {
  const day = begin.toISOString().slice(0, 10);
  try {
    const dataset = await executeChild(buildDataset, {
      workflowId: `buildDataset/${asked.name}/${day}/${workflowInfo().workflowId}`,
      args: [{ ...asked, from: day, to: day }],
      ...foundByAsWell('buildDataset', { day }),
    });
    return { dataset, datasetProblem: null };
  } catch (error) {
    if (isCancellation(error) || !(error instanceof ChildWorkflowFailure)) throw error;
    const reason = rootCause(error) ?? error.message;
    log.warn('the daily dataset could not be built', { day, reason });
    return { dataset: null, datasetProblem: reason };
  }
}

/** What is not done today is done tomorrow, and is no reason to call the day failed. */
async function ifPossible<Done>(work: () => Promise<Done>): Promise<{ done: Done | null; problem: string | null }> {
  try {
    return { done: await work(), problem: null };
  } catch (error) {
    if (isCancellation(error)) throw error;
    const problem = reasonOf(error);
    log.warn('housekeeping failed', { problem });
    return { done: null, problem };
  }
}

/** A day that were refused now would not be covered later: nobody runs it again. By hand, it is refused at once. */
async function waitForRelease(): Promise<void> {
  for (let wait = MINUTE; ; wait = Math.min(wait * 2, 60 * MINUTE)) {
    const hold = await quick.findHold();
    if (hold === null) return;
    setCurrentDetails(
      `**waiting**: version ${hold.version} is held by ${hold.by} since ${hold.since}; let it go with: npx whence release`,
    );
    await sleep(wait);
  }
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
