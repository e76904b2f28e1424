import { discoveryOf } from './derive.ts';
import type { Play, Source } from './plays.ts';

/** A play with its key's discovery: what people see. */
export interface AttributedPlay extends Play {
  sod: Source;
  is_discovery: boolean;
  /** Start of the key's discovery play where this is it or comes after it, else null. Epoch milliseconds. */
  discovered_at: number | null;
}

/**
 * Composes discovery and inheritance over all plays of one key: the candidate of the earliest qualified play is the
 * source of discovery of that play and of all after it; plays before it show their own candidate.
 *
 * @param plays of one key, in any order
 * @returns the plays in order of their start
 */
export function attribute(plays: readonly Play[]): AttributedPlay[] {
  const ordered = [...plays].sort((a, b) => a.started_at - b.started_at);
  const discoverer = discoveryOf(ordered);
  const discovery = ordered[discoverer] as Play | undefined;
  return ordered.map((play, index) => {
    if (discovery === undefined || index < discoverer) {
      return { ...play, sod: play.candidate, is_discovery: false, discovered_at: null };
    }
    return {
      ...play,
      sod: discovery.candidate,
      assisted: discovery.assisted,
      is_discovery: index === discoverer,
      discovered_at: discovery.started_at,
    };
  });
}
