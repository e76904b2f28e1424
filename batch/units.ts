/** A unit of work: the plays of a part of the profiles, by their buckets (both ends included). */
export type UnitSpec =
  /** That have an event in the day. */
  | { kind: 'day'; day: string; from: number; to: number }
  /** Of the dirty keys, in covered days. */
  | { kind: 'dirty'; from: number; to: number };
