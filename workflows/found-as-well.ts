import type { SearchAttributePair } from '@temporalio/common';
import { patched, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import { quick } from './activities.ts';
import { type AboutDays, foundBy, KIND } from './found-by.ts';

/** Of a child, or of the next run: where this workflow has none, the server may not know them, and they would be refused. */
export function foundByAsWell(kind: string, about: AboutDays): { typedSearchAttributes?: SearchAttributePair[] } {
  return hasAttributes() ? { typedSearchAttributes: foundBy(kind, about) } : {};
}

/** Whether whoever started this workflow found that the server knows the attributes. */
export function hasAttributes(): boolean {
  return workflowInfo().typedSearchAttributes.get(KIND) !== undefined;
}

/**
 * Has this run be found as well, where whoever started it gave it no attributes, as in Temporal's UI. A worker is asked first whether the
 * server knows them: what it does not know, it refuses again and again, and the run would stand still.
 */
export async function beFound(kind: string, about: AboutDays): Promise<void> {
  if (hasAttributes() || !patched('be found')) return;
  if (await quick.hasSearchAttributes()) upsertSearchAttributes(foundBy(kind, about));
}
