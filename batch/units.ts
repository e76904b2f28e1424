import { BUCKETS } from '../archive/columns.ts';

/** A unit of work: the plays of a part of the profiles, by their buckets (both ends included). */
export type UnitSpec =
  /** That have an event in the day. */
  | { kind: 'day'; day: string; from: number; to: number }
  /** Of the dirty keys, in covered days. */
  | { kind: 'dirty'; from: number; to: number };

/** All buckets in so many ranges, both ends included; at least one. */
export function bucketRanges(parts: number): { from: number; to: number }[] {
  const count = Math.min(Math.max(1, parts), BUCKETS);
  return Array.from({ length: count }, (_, i) => ({
    from: Math.floor((i * BUCKETS) / count),
    to: Math.floor(((i + 1) * BUCKETS) / count) - 1,
  }));
}
