import { defineQuery, setHandler } from '@temporalio/workflow';
import type { AdvanceOutcome } from '../activities/activities.ts';
import { Advance, type AdvanceProgress } from './advance.ts';
import { beFound } from './found-as-well.ts';
import { dayInput, readInput } from './input.ts';

export interface ReconcileDayInput {
  /** UTC, YYYY-MM-DD. */
  day: string;
}

export const reconcileDayProgress = defineQuery<AdvanceProgress | null>('progress');

/**
 * Computes a day of the batch view from the archive, with whatever else became dirty since the current version, and commits it.
 *
 * Started with one JSON object, in the UI too: {"day":"2026-11-23"}. Wrong input fails at once.
 */
export async function reconcileDay(input: ReconcileDayInput): Promise<AdvanceOutcome> {
  let advance: Advance | null = null;
  setHandler(reconcileDayProgress, () => advance?.progress ?? null);
  const { day } = readInput('reconcileDay', { day: dayInput }, { day: '2026-11-23' }, input);
  await beFound('reconcileDay', { day });
  advance = new Advance({ days: [day], cause: `reconcile ${day}` });
  return advance.run();
}
