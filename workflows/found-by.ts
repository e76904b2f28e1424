import { defineSearchAttributeKey, type SearchAttributePair } from '@temporalio/common';

/** By which workflows are found in Temporal: what they do, and for which days. platform/search-attributes.ts makes them. */
export const KIND = defineSearchAttributeKey('WhenceKind', 'KEYWORD');
export const DAY = defineSearchAttributeKey('WhenceDay', 'KEYWORD_LIST');

/** More days than these are named by their months, as "2026-11": the value of an attribute must stay below 2 KB. */
const MOST_DAYS = 100;
const DAY_MS = 86_400_000;

/** The days a workflow is about. */
export interface AboutDays {
  /** UTC, YYYY-MM-DD, as the next two. */
  day?: string;
  from?: string;
  to?: string;
}

/** The attributes of a workflow that is started with this input; what is no day is left to the workflow to refuse. */
export function foundBy(kind: string, { day, from, to }: AboutDays): SearchAttributePair[] {
  const days = day === undefined ? daysBetween(from, to) : daysBetween(day, day);
  const named = days.length > MOST_DAYS ? [...new Set(days.map((each) => each.slice(0, 7)))] : days;
  return [{ key: KIND, value: kind }, ...(named.length > 0 ? [{ key: DAY, value: named }] : [])];
}

function daysBetween(from: string | undefined, to: string | undefined): string[] {
  const [first, last] = [from, to].map((day) => Date.parse(`${day}T00:00:00Z`));
  const count = (last - first) / DAY_MS + 1;
  // Longer than any backfill may be, or no days at all: NaN is in no range.
  if (!(count >= 1 && count <= 1_200)) return [];
  return Array.from({ length: count }, (_, i) => new Date(first + i * DAY_MS).toISOString().slice(0, 10));
}
