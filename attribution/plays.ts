import type { Evidence, PlayDecision, Rule } from './derive.ts';
import { SURFACE_CLASSES, type SurfaceClass } from './events.ts';
import { playId } from './play-id.ts';
import { utcDay } from './time.ts';

/** The facts of one key in words, by the indices of its `KeyFacts`: whatever holds the facts says them. */
export interface KeyWords {
  readonly profileId: string;
  readonly workId: string;
  impressionWords(index: number): ImpressionWords;
  playbackWords(index: number): PlaybackWords;
}

export interface ImpressionWords {
  id: string;
  surface: string;
  rowType: string;
  rowId: string;
  rowRank: number;
  position: number;
  /** Epoch milliseconds. */
  time: number;
}

export interface PlaybackWords {
  playbackId: string;
  title: string;
  country: string;
  device: string;
  origin: {
    surface: string;
    rowType: string | null;
    rowId: string | null;
    rowRank: number | null;
    position: number | null;
  } | null;
}

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

/** Puts a decision into words. The key must still hold the facts that were decided on. */
export function describePlay(decision: PlayDecision, key: KeyWords): Play {
  const first = key.playbackWords(decision.firstEvent);
  const sop = describeSop(decision, first, key);
  const path = decision.path.map((impression, index) => {
    const isLaunch = decision.launchIsTouch && index === decision.path.length - 1;
    return describeTouch(impression, isLaunch, decision, sop, key);
  });
  const { profileId, workId } = key;
  return {
    play_id: playId(profileId, workId, decision.startedAt),
    profile_id: profileId,
    work_id: workId,
    playback_id: first.playbackId,
    playback_ids: decision.playbackFirsts.map((event) => wordsOf(event, decision, first, key).playbackId),
    title_id: first.title,
    country: first.country,
    device_type: first.device,
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

/** Most plays have one playback id, and its first event is the first of the play. */
function wordsOf(event: number, { firstEvent }: PlayDecision, first: PlaybackWords, key: KeyWords): PlaybackWords {
  return event === firstEvent ? first : key.playbackWords(event);
}

function describeSop(decision: PlayDecision, first: PlaybackWords, key: KeyWords): Source {
  const surfaceClass = decision.sopClass < 0 ? null : SURFACE_CLASSES[decision.sopClass];
  if (decision.sopImpression >= 0) {
    const seen = key.impressionWords(decision.sopImpression);
    return {
      surface: seen.surface,
      class: surfaceClass,
      row_type: seen.rowType,
      row_id: seen.rowId,
      row_rank: seen.rowRank,
      position: seen.position,
      impression_id: seen.id,
      evidence: decision.sopEvidence,
    };
  }
  const origin = decision.origin < 0 ? null : wordsOf(decision.origin, decision, first, key).origin;
  if (origin === null) return UNKNOWN;
  return {
    surface: origin.surface,
    class: surfaceClass,
    row_type: origin.rowType,
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
  key: KeyWords,
): Touch {
  // The launch, by an impression or none.
  if (isLaunch) {
    const { impression_id, surface, row_type, row_id, row_rank, position } = sop;
    return { impression_id, surface, row_type, row_id, row_rank, position, touched_at: decision.startedAt };
  }
  const seen = key.impressionWords(impression);
  return {
    impression_id: seen.id,
    surface: seen.surface,
    row_type: seen.rowType,
    row_id: seen.rowId,
    row_rank: seen.rowRank,
    position: seen.position,
    touched_at: seen.time,
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
