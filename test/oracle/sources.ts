/** Where a play came from: source of play, path, candidate source of discovery. */

import type { Impression, Origin, SurfaceClass } from '../../attribution/events.ts';
import { byTieRule } from './order.ts';
import type { OracleParameters } from './parameters.ts';
import type { Evidence, Mode, Rule, Source, Touch } from './types.ts';

/** That of the row type where the policy lists it, else that of the surface where it lists that, else discovery. */
function classOf(rowType: string | null, surface: string, parameters: OracleParameters): SurfaceClass {
  const ofRowType = rowType === null ? undefined : parameters.classes.get(rowType);
  return ofRowType ?? parameters.classes.get(surface) ?? 'discovery';
}

/** Eligible: T - window <= its time <= T. The impressions given are those of the play's key. */
function eligible(impressions: readonly Impression[], startedAt: number, window: number): Impression[] {
  return impressions.filter(({ event_time }) => startedAt - window <= event_time && event_time <= startedAt);
}

/** The tie rule's winner. */
function winner(impressions: readonly Impression[]): Impression | undefined {
  return [...impressions].sort(byTieRule).at(-1);
}

function fromImpression(impression: Impression, evidence: Evidence, parameters: OracleParameters): Source {
  return {
    surface: impression.page,
    class: classOf(impression.row_type, impression.page, parameters),
    row_type: impression.row_type,
    row_id: impression.row_id,
    row_rank: impression.row_rank,
    position: impression.position,
    impression_id: impression.event_id,
    evidence,
  };
}

/** What the origin says, without an impression id. */
function fromOrigin(origin: Origin, parameters: OracleParameters): Source {
  return {
    surface: origin.surface,
    class: classOf(origin.row_type, origin.surface, parameters),
    row_type: origin.row_type,
    row_id: origin.row_id,
    row_rank: origin.row_rank,
    position: origin.position,
    impression_id: null,
    evidence: 'claimed',
  };
}

function nothing(surface: 'unknown' | 'unknown_prior'): Source {
  return {
    surface,
    class: null,
    row_type: null,
    row_id: null,
    row_rank: null,
    position: null,
    impression_id: null,
    evidence: 'none',
  };
}

export interface SourceOfPlay {
  source: Source;
  rule: Rule;
  orphanToken: boolean;
}

/** The first rule that applies. */
export function sourceOfPlay(
  startedAt: number,
  origin: Origin | null,
  impressions: readonly Impression[],
  mode: Mode,
  parameters: OracleParameters,
): SourceOfPlay {
  if (origin !== null) {
    // 1. The origin names an impression that is eligible within the discovery window.
    const inWindow = eligible(impressions, startedAt, parameters.discoveryWindow[mode]);
    const named = winner(inWindow.filter((impression) => isNamedBy(origin, impression)));
    if (named !== undefined)
      return {
        source: fromImpression(named, 'exact', parameters),
        rule: 'origin_impression',
        orphanToken: false,
      };
    // 2. It names another, or only a surface or row.
    const namesOne = origin.impression_id !== null || origin.token !== null;
    return { source: fromOrigin(origin, parameters), rule: 'origin_claim', orphanToken: namesOne };
  }
  // 3. No origin: the last eligible impression of any class within the SoP window.
  const last = winner(eligible(impressions, startedAt, parameters.sopWindow));
  if (last !== undefined)
    return { source: fromImpression(last, 'inferred', parameters), rule: 'last_impression', orphanToken: false };
  // 4. Otherwise unknown.
  return { source: nothing('unknown'), rule: 'unknown', orphanToken: false };
}

/** By impression_id; only where there is none, by token. */
function isNamedBy(origin: Origin, impression: Impression): boolean {
  if (origin.impression_id !== null) return impression.event_id === origin.impression_id;
  return origin.token !== null && impression.token === origin.token;
}

/** A launch is itself a touch where the SoP is of class discovery and exact or claimed. */
function launchIsTouch(sop: Source): boolean {
  return sop.class === 'discovery' && (sop.evidence === 'exact' || sop.evidence === 'claimed');
}

/**
 * The whole path: the eligible discovery-class impressions within the discovery window, ascending in time, ties reversed
 * so that the winner stands last; then the launch, moved there if it was an impression of the path, at T.
 */
export function pathOf(
  startedAt: number,
  sop: Source,
  impressions: readonly Impression[],
  mode: Mode,
  parameters: OracleParameters,
): Touch[] {
  const seen = eligible(impressions, startedAt, parameters.discoveryWindow[mode])
    .filter((impression) => classOf(impression.row_type, impression.page, parameters) === 'discovery')
    .sort(byTieRule)
    .map((impression) => touch(fromImpression(impression, 'inferred', parameters), impression.event_time));
  if (!launchIsTouch(sop)) return seen;
  const others = seen.filter(({ impression_id }) => impression_id !== sop.impression_id);
  return [...others, touch(sop, startedAt)];
}

function touch(source: Source, touchedAt: number): Touch {
  return {
    impression_id: source.impression_id,
    surface: source.surface,
    row_type: source.row_type,
    row_id: source.row_id,
    row_rank: source.row_rank,
    position: source.position,
    touched_at: touchedAt,
  };
}

export interface Candidate {
  source: Source;
  assisted: boolean;
}

/** The candidate SoD of a play. */
export function candidateOf(sop: Source, path: readonly Touch[]): Candidate {
  const last = path.at(-1);
  if (last !== undefined) {
    // The last touch; its evidence is the launch's own where the launch is that touch, else inferred.
    const { touched_at: _, ...row } = last;
    const evidence = launchIsTouch(sop) ? sop.evidence : 'inferred';
    // With an intent SoP that touch all the same, and assisted.
    return { source: { ...row, class: 'discovery', evidence }, assisted: sop.class === 'intent' };
  }
  // An intent SoP and an empty path: the intent surface itself.
  if (sop.class === 'intent') return { source: sop, assisted: false };
  // Otherwise the discovery lies before what is known, or nothing is known.
  const isPrior = sop.class === 'continuation' || sop.class === 'system';
  return { source: nothing(isPrior ? 'unknown_prior' : 'unknown'), assisted: false };
}
