import type { SearchAttributePair } from '@temporalio/common';
import { workflowInfo } from '@temporalio/workflow';
import { type AboutDays, foundBy, KIND } from './found-by.ts';

/** Of a child, or of the next run: where this workflow has none, the server may not know them, and they would be refused. */
export function foundByAsWell(kind: string, about: AboutDays): { typedSearchAttributes?: SearchAttributePair[] } {
  return hasAttributes() ? { typedSearchAttributes: foundBy(kind, about) } : {};
}

/** Whether whoever started this workflow found that the server knows the attributes. */
export function hasAttributes(): boolean {
  return workflowInfo().typedSearchAttributes.get(KIND) !== undefined;
}
