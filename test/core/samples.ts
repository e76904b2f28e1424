/** Events and policies to alter in tests: as they are on the wire or in a file, and as they are once read. */

import defaultPolicyFile from '../../attribution/default-policy.json' with { type: 'json' };
import type { Impression, Origin, Playback } from '../../attribution/events.ts';

export const BASE = Date.parse('2025-11-24T16:00:00Z');

/** With every field, optional ones too, and one that the contract does not know. */
export function wireImpression(): Record<string, unknown> {
  return {
    type: 'impression',
    event_id: 'i1',
    event_time: BASE,
    profile_id: 'p1',
    country: 'US',
    device_type: 'tv',
    page_view_id: 'pv1',
    page: 'home',
    row_type: 'top_picks',
    row_id: 'top_picks:1',
    row_rank: 3,
    position: 7,
    title_id: 'episode-1',
    series_id: 'series-1',
    token: 'token-1',
    profile_type: 'kids',
    context: { unknown: [1, null, 'x'] },
  };
}

/** With every field, optional ones too, and one that the contract does not know. */
export function wirePlayback(): Record<string, unknown> {
  return {
    type: 'playback',
    action: 'start',
    event_id: 'e1',
    event_time: BASE,
    profile_id: 'p1',
    country: 'US',
    device_type: 'tv',
    playback_id: 'pb1',
    title_id: 'episode-1',
    series_id: 'series-1',
    kind: 'main',
    muted_autoplay: false,
    position_ms: 1500.5,
    runtime_ms: 2_400_000,
    profile_type: 'standard',
    origin: wireOrigin(),
    context: { unknown: true },
  };
}

export function wireOrigin(): Record<string, unknown> {
  return {
    surface: 'home',
    row_type: 'top_picks',
    row_id: 'top_picks:1',
    row_rank: 3,
    position: 7,
    token: 'token-1',
    impression_id: 'i1',
  };
}

export function impression(change: Partial<Impression> = {}): Impression {
  return {
    type: 'impression',
    event_id: 'i1',
    event_time: BASE,
    profile_id: 'p1',
    country: 'US',
    device_type: 'tv',
    page_view_id: 'pv1',
    page: 'home',
    row_type: 'top_picks',
    row_id: 'top_picks:1',
    row_rank: 3,
    position: 7,
    title_id: 'episode-1',
    series_id: 'series-1',
    token: null,
    profile_type: null,
    context: null,
    ...change,
  };
}

export function playback(change: Partial<Playback> = {}): Playback {
  return {
    type: 'playback',
    action: 'start',
    event_id: 'e1',
    event_time: BASE,
    profile_id: 'p1',
    country: 'US',
    device_type: 'tv',
    playback_id: 'pb1',
    title_id: 'episode-1',
    series_id: 'series-1',
    kind: null,
    muted_autoplay: null,
    position_ms: null,
    runtime_ms: null,
    profile_type: null,
    origin: null,
    ...change,
  };
}

export function origin(change: Partial<Origin> = {}): Origin {
  return {
    surface: 'home',
    row_type: null,
    row_id: null,
    row_rank: null,
    position: null,
    token: null,
    impression_id: null,
    ...change,
  };
}

/** A copy of the default policy's file with the value at a path altered; undefined leaves it out. */
export function withValue(path: string, value: unknown, file: unknown = defaultPolicyFile): Record<string, unknown> {
  const copy = structuredClone(file) as Record<string, unknown>;
  const names = path.split('.');
  let holder = copy;
  for (const name of names.slice(0, -1)) holder = holder[name] as Record<string, unknown>;
  const last = names.at(-1) ?? '';
  if (value === undefined) delete holder[last];
  else holder[last] = value;
  return copy;
}

/** The work of an event: the series of an episode, or the title itself. */
export function workOf(event: { series_id: string | null; title_id: string }): string {
  return event.series_id ?? event.title_id;
}

/** A row (or none) on a surface, as the store's dictionary has it. */
export function placeOf(surface: string, rowType: string | null, rowId: string | null): string {
  return `${rowType ?? ''}\0${surface}\0${rowId ?? ''}`;
}
