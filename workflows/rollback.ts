import { defineQuery, setCurrentDetails, setHandler } from '@temporalio/workflow';
import { z } from 'zod';
import type { ReleaseSummary, RollbackSummary } from '../activities/activities.ts';
import { longActivities } from './activities.ts';
import { beFound } from './found-as-well.ts';
import { readInput } from './input.ts';

export interface RollbackInput {
  /** A version that is kept: `select version from whence.versions where kept`. */
  version: number;
}

export interface RollbackProgress {
  stage: 'rolling back' | 'comparing' | 'done';
}

export const rollbackProgress = defineQuery<RollbackProgress>('progress');

const EXPECTED = { error: 'expected the number of a version, 1 or greater' };
const SHAPE = { version: z.int(EXPECTED).min(1, EXPECTED) };

/**
 * Makes a version of the batch view current that is kept, and holds it: nothing is committed over it before `release`.
 *
 * Started with one JSON object, in the UI too: {"version":41}.
 */
export async function rollback(input: RollbackInput): Promise<RollbackSummary> {
  const progress: RollbackProgress = { stage: 'rolling back' };
  setHandler(rollbackProgress, () => progress);
  const { version } = readInput('rollback', SHAPE, { version: 41 }, input);
  await beFound('rollback', {});
  const long = longActivities();
  const done = await long.rollback({ version });
  // What was compared together with a later version is compared by itself.
  progress.stage = 'comparing';
  await long.recordCorrections();
  progress.stage = 'done';
  setCurrentDetails(`Version ${version} is current instead of ${done.from}, and held until it is released`);
  return done;
}

/** Lets the current version go, so that the next commit follows it. Its input is empty: {}. */
export async function release(input: Record<string, never>): Promise<ReleaseSummary> {
  setHandler(rollbackProgress, () => ({ stage: 'done' as const }));
  readInput('release', {}, {}, input);
  await beFound('release', {});
  return longActivities().release();
}
