import { CLAIMED_LAUNCH, type Evidence, type PlayDecision, type Rule } from './derive.ts';
import { SURFACE_CLASSES, type SurfaceClass } from './events.ts';
import type { KeyView } from './facts/key-view.ts';
import { splitPlace } from './facts/record.ts';
import type { FactStore } from './facts/fact-store.ts';
import { playId } from './play-id.ts';
import { utcDay } from './time.ts';

/** A row of a surface as a source of a play or of a discovery. */
export interface Source {
  surface: string;
  class: SurfaceClass | null;
  row_type: string | null;
  row_id: string | null;
  row_rank: number | null;
  position: number | null;
  impression_id: string | null;
  evidence: Evidence;
}

/** One touch of a path. */
export interface Touch {
  impression_id: string | null;
  surface: string;
  row_type: string | null;
  row_id: string | null;
  row_rank: number | null;
  position: number | null;
  /** Epoch milliseconds. */
  touched_at: number;
}

/**
 * A play in words: what `PlayDecision` says with indices. `candidate` is its own source of discovery; whether the key's
 * discovery is another play's is composed over all plays of the key.
 */
export interface Play {
  play_id: string;
  profile_id: string;
  work_id: string;
  playback_id: string;
  playback_ids: string[];
  title_id: string;
  country: string;
  device_type: string;
  /** UTC date of the start. */
  day: string;
  started_at: number;
  ended_at: number;
  watched_ms: number;
  qualified: boolean;
  inferred_start: boolean;
  inferred_end: boolean;
  rule: Rule;
  sop: Source;
  candidate: Source;
  assisted: boolean;
  orphan_token: boolean;
  path: Touch[];
  touches_omitted: number;
}

const UNKNOWN: Source = {
  surface: 'unknown',
  class: null,
  row_type: null,
  row_id: null,
  row_rank: null,
  position: null,
  impression_id: null,
  evidence: 'none',
};

/** Puts a decision into words. The view must still hold the facts that were decided on. */
export function describePlay(decision: PlayDecision, view: KeyView, store: FactStore): Play {
  const first = view.playback(decision.firstEvent);
  const { labels } = store.dictionaries;
  const sop = describeSop(decision, view, store);
  const path = decision.path.map((impression, index) => {
    const isLaunch = decision.launchIsTouch && index === decision.path.length - 1;
    return describeTouch(impression, isLaunch, decision, sop, view, store);
  });
  const profileId = view.profileId;
  const workId = view.workId;
  return {
    play_id: playId(profileId, workId, decision.startedAt),
    profile_id: profileId,
    work_id: workId,
    playback_id: first.playbackId,
    playback_ids: decision.playbackFirsts.map((event) => view.playback(event).playbackId),
    title_id: labels.text(first.title),
    country: labels.text(first.country),
    device_type: labels.text(first.device),
    day: utcDay(decision.startedAt),
    started_at: decision.startedAt,
    ended_at: decision.endedAt,
    watched_ms: decision.watchedMs,
    qualified: decision.qualified,
    inferred_start: decision.inferredStart,
    inferred_end: decision.inferredEnd,
    rule: decision.rule,
    sop,
    candidate: describeCandidate(decision, sop, path),
    assisted: decision.assisted,
    orphan_token: decision.orphanToken,
    path,
    touches_omitted: decision.touchesOmitted,
  };
}

function describeSop(decision: PlayDecision, view: KeyView, store: FactStore): Source {
  const surfaceClass = decision.sopClass < 0 ? null : SURFACE_CLASSES[decision.sopClass];
  if (decision.sopImpression >= 0) {
    const seen = view.impression(decision.sopImpression);
    const { surface, rowType } = splitPlace(store.dictionaries.places.text(seen.place));
    return {
      surface,
      class: surfaceClass,
      row_type: rowType,
      row_id: seen.rowId,
      row_rank: seen.rowRank,
      position: seen.position,
      impression_id: view.impressionId(decision.sopImpression),
      evidence: decision.sopEvidence,
    };
  }
  const origin = decision.origin < 0 ? null : view.playback(decision.origin).origin;
  if (origin === null) return UNKNOWN;
  const { surface, rowType } = splitPlace(store.dictionaries.places.text(origin.place));
  return {
    surface,
    class: surfaceClass,
    row_type: rowType,
    row_id: origin.rowId,
    row_rank: origin.rowRank,
    position: origin.position,
    impression_id: null,
    evidence: decision.sopEvidence,
  };
}

function describeTouch(
  impression: number,
  isLaunch: boolean,
  decision: PlayDecision,
  sop: Source,
  view: KeyView,
  store: FactStore,
): Touch {
  if (impression === CLAIMED_LAUNCH) {
    const { surface, row_type, row_id, row_rank, position } = sop;
    return { impression_id: null, surface, row_type, row_id, row_rank, position, touched_at: decision.startedAt };
  }
  const seen = view.impression(impression);
  const { surface, rowType } = splitPlace(store.dictionaries.places.text(seen.place));
  return {
    impression_id: view.impressionId(impression),
    surface,
    row_type: rowType,
    row_id: seen.rowId,
    row_rank: seen.rowRank,
    position: seen.position,
    touched_at: isLaunch ? decision.startedAt : view.impressions.time[impression],
  };
}

function describeCandidate(decision: PlayDecision, sop: Source, path: Touch[]): Source {
  switch (decision.candidate) {
    case 'launch':
      return sop;
    case 'touch': {
      if (decision.launchIsTouch) return sop;
      const { touched_at: _, ...row } = path[path.length - 1];
      return { ...row, class: 'discovery', evidence: 'inferred' };
    }
    case 'unknown':
    case 'unknown_prior':
      return { ...UNKNOWN, surface: decision.candidate };
  }
}
