import type { Rules } from '../attribution/policy.ts';
import { DAY } from '../attribution/time.ts';

/** How far in time a fact can change plays: the times that a play must touch to be changed by it, from the fact's time on. */
export interface Reach {
  before: number;
  after: number;
}

/**
 * A playback event changes what lies within a stitching gap of it, and, through what it says of its playback id, what counts
 * for as long as that is remembered; what then counts or not, changes the plays around.
 */
export function reachOfPlayback({ stitchingGap, flagMemory }: Rules): Reach {
  return { before: stitchingGap, after: flagMemory + 2 * stitchingGap };
}

/** An impression changes plays that start in the window after it. */
export function reachOfImpression({ discoveryWindow, sourceOfPlayWindow }: Rules): Reach {
  return { before: 0, after: Math.max(discoveryWindow, sourceOfPlayWindow) };
}

/** Days as numbers since the epoch, for reckoning. */
export function dayNumber(day: string): number {
  return Date.parse(`${day}T00:00:00Z`) / DAY;
}
