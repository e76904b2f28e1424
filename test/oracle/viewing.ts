/** Counted events, plays as runs of them, watched time. */

import type { Kind, Origin, Playback } from '../../attribution/events.ts';
import { byCodeUnit, byPlaybackOrder } from './order.ts';
import type { OracleParameters } from './parameters.ts';

/** Counted: not a trailer, not a preview, not muted autoplay. */
function isCounted(event: Playback, playbacks: readonly Playback[], parameters: OracleParameters): boolean {
  return kindOf(event, playbacks, parameters) === 'main' && !isMuted(event, playbacks, parameters);
}

/** Where an event does not say its kind, the latest before it that does decides; else main. */
function kindOf(event: Playback, playbacks: readonly Playback[], parameters: OracleParameters): Kind {
  if (event.kind !== null) return event.kind;
  return before(event, playbacks, parameters).findLast(({ kind }) => kind !== null)?.kind ?? 'main';
}

/** The same for muted autoplay, by itself; else not muted. */
function isMuted(event: Playback, playbacks: readonly Playback[], parameters: OracleParameters): boolean {
  if (event.muted_autoplay !== null) return event.muted_autoplay;
  const saying = before(event, playbacks, parameters).findLast(({ muted_autoplay }) => muted_autoplay !== null);
  return saying?.muted_autoplay ?? false;
}

/** The events of its playback_id, in the key and in the 24 h before it, in order. */
function before(event: Playback, playbacks: readonly Playback[], parameters: OracleParameters): Playback[] {
  return playbacks
    .filter((other) => other.playback_id === event.playback_id)
    .filter((other) => byPlaybackOrder(other, event) < 0)
    .filter((other) => other.event_time >= event.event_time - parameters.carry)
    .sort(byPlaybackOrder);
}

/** Plays: the maximal runs of counted events of a key in which no gap exceeds 30 min; each run in order. */
export function runs(playbacks: readonly Playback[], parameters: OracleParameters): Playback[][] {
  const counted = playbacks.filter((event) => isCounted(event, playbacks, parameters)).sort(byPlaybackOrder);
  const found: Playback[][] = [];
  for (const event of counted) {
    const run = found.at(-1);
    const previous = run?.at(-1);
    if (run === undefined || previous === undefined || event.event_time - previous.event_time > parameters.stitchingGap)
      found.push([event]);
    else run.push(event);
  }
  return found;
}

/** In the order of their first events. */
export function playbackIdsOf(run: readonly Playback[]): string[] {
  return [...new Set(run.map((event) => event.playback_id))];
}

/**
 * A play's origin: that of the earliest `start` (time, then event_id) of its playback ids between T - 30 min and its
 * end; trailers and previews left out, muted autoplay not. Of that start only, whether it has an origin or not.
 */
export function originOf(
  run: readonly Playback[],
  playbacks: readonly Playback[],
  parameters: OracleParameters,
): Origin | null {
  const startedAt = Math.min(...run.map((event) => event.event_time));
  const endedAt = Math.max(...run.map((event) => event.event_time));
  const starts = playbacks
    .filter((event) => event.action === 'start')
    .filter((event) => playbackIdsOf(run).includes(event.playback_id))
    .filter((event) => startedAt - parameters.sopWindow <= event.event_time && event.event_time <= endedAt)
    .filter((event) => kindOf(event, playbacks, parameters) === 'main')
    .sort((a, b) => a.event_time - b.event_time || byCodeUnit(a.event_id, b.event_id));
  return starts[0]?.origin ?? null;
}

interface Stretch {
  from: number;
  to: number;
}

/** The length of the union of the stretches of all playback ids: two screens at once count once. */
export function watchedTime(run: readonly Playback[], parameters: OracleParameters): number {
  const all = playbackIdsOf(run)
    .flatMap((id) =>
      stretches(
        run.filter((event) => event.playback_id === id),
        parameters,
      ),
    )
    .sort((a, b) => a.from - b.from);
  let watched = 0;
  let seenUntil = -Infinity;
  for (const { from, to } of all) {
    watched += Math.max(0, to - Math.max(from, seenUntil));
    seenUntil = Math.max(seenUntil, to);
  }
  return watched;
}

/**
 * Of one playback_id, its events in order: each stretch that begins at start, resume or heartbeat is credited up to the
 * next event, at most 120 s; so nothing after a pause or a stop, and nothing after the last event.
 */
function stretches(events: readonly Playback[], parameters: OracleParameters): Stretch[] {
  const found: Stretch[] = [];
  for (const [index, event] of events.entries()) {
    const next = events[index + 1];
    if (next === undefined || event.action === 'pause' || event.action === 'stop') continue;
    found.push({ from: event.event_time, to: Math.min(next.event_time, event.event_time + parameters.stretchCap) });
  }
  return found;
}

/** At least 120 s, or at least half of the runtime (the greatest reported above 0) where that is shorter than 240 s. */
export function isQualified(run: readonly Playback[], watched: number, parameters: OracleParameters): boolean {
  if (watched >= parameters.qualifiedWatched) return true;
  const runtime = Math.max(0, ...run.map((event) => event.runtime_ms ?? 0));
  if (runtime === 0 || runtime >= parameters.shortRuntime) return false;
  return watched >= runtime * parameters.shortRuntimeShare;
}
