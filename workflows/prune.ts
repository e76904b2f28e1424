import { defineQuery, setHandler } from '@temporalio/workflow';
import { z } from 'zod';
import type { PruneSummary } from '../activities/retention-activities.ts';
import { housekeeping } from './activities.ts';
import { beFound } from './found-as-well.ts';
import { readInput } from './input.ts';

export interface PruneInput {
  /** Say what would be removed, and remove nothing. */
  dryRun?: boolean;
}

export interface PruneProgress {
  stage: 'pruning' | 'done';
}

export const pruneProgress = defineQuery<PruneProgress>('progress');

const SHAPE = { dryRun: z.boolean({ error: 'expected true or false' }).optional() };

/**
 * Removes what is older than it is kept, by the settings of the worker that does it. The daily cycle does so, too.
 *
 * Its input may be empty: {}.
 */
export async function prune(input: PruneInput): Promise<PruneSummary> {
  const progress: PruneProgress = { stage: 'pruning' };
  setHandler(pruneProgress, () => progress);
  const { dryRun = false } = readInput('prune', SHAPE, { dryRun: true }, input);
  await beFound('prune', {});
  const done = await housekeeping.prune({ dryRun });
  progress.stage = 'done';
  return done;
}
