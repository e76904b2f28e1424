import { ACTIONS } from './events.ts';
import { CLASS_CODES, type Rules } from './policy.ts';

/** Codes of the columns below. 0 says nothing, or none. */
export const KIND_CODES = { none: 0, main: 1, trailer: 2, preview: 3 } as const;
export const MUTED_CODES = { none: 0, no: 1, yes: 2 } as const;
/** What an event's origin says: nothing, a surface without an impression, an impression by id, one by token. */
export const ORIGIN_CODES = { none: 0, claim: 1, byId: 2, byToken: 3 } as const;
/** An action's code is its place in the order that decides between events of one time. */
const START = ACTIONS.indexOf('start');
const HEARTBEAT = ACTIONS.indexOf('heartbeat');
const STOP = ACTIONS.indexOf('stop');

/**
 * The facts of one key (profile, work) as sorted columns: what the speed layer's store and the batch layer's reader
 * both fill, so that one function decides for both. Arrays may be longer than `count`.
 */
export interface KeyFacts {
  /** Ascending by time, ties reversed, so that the winner of a tie stands last. */
  readonly impressions: {
    count: number;
    /** Epoch milliseconds. */
    time: Float64Array;
    /** `CLASS_CODES`. */
    surfaceClass: Uint8Array;
  };
  /** Ascending by time, then action, then event id. */
  readonly playbacks: {
    count: number;
    time: Float64Array;
    /** Index in `ACTIONS`. */
    action: Uint8Array;
    /** The playback id as a small integer of this key: 0 to `playbackIds` - 1. */
    playback: Int32Array;
    /** `KIND_CODES`. */
    kind: Uint8Array;
    /** `MUTED_CODES`. */
    muted: Uint8Array;
    /** Milliseconds; 0 or less where none is reported. */
    runtime: Float64Array;
    /** `ORIGIN_CODES`. */
    origin: Uint8Array;
    /** The class of what the origin says, `CLASS_CODES`. */
    originClass: Uint8Array;
  };
  /** How many playback ids there are. */
  playbackIds: number;
  /** Whether the origin of a playback event (with code byId or byToken) names this impression. */
  names(playback: number, impression: number): boolean;
}

export type Rule = 'origin_impression' | 'origin_claim' | 'last_impression' | 'unknown';
export type Evidence = 'exact' | 'claimed' | 'inferred' | 'none';

/** In a path: the launch by an origin that names no eligible impression. */
export const CLAIMED_LAUNCH = -1;

/** A play and what was decided of it, in terms of the indices of its key's facts. */
export interface PlayDecision {
  /** Of the earliest and the last counted event, epoch milliseconds. */
  startedAt: number;
  endedAt: number;
  /** Playback events: the play's earliest, and the first of each of its playback ids, in order. */
  firstEvent: number;
  playbackFirsts: number[];
  watchedMs: number;
  qualified: boolean;
  inferredStart: boolean;
  inferredEnd: boolean;
  /** The playback event whose origin is the play's, -1 where there is none. */
  origin: number;
  rule: Rule;
  sopEvidence: Evidence;
  /** The impression that launched the play, -1 where none is known. */
  sopImpression: number;
  /** `CLASS_CODES`, -1 where the source is unknown. */
  sopClass: number;
  /** The origin named an impression, but no eligible one. */
  orphanToken: boolean;
  /** The kept touches in order: impressions, or `CLAIMED_LAUNCH` in last place. */
  path: number[];
  /** The last touch is the launch, touched at the start of the play. */
  launchIsTouch: boolean;
  touchesOmitted: number;
  /** What the candidate source of discovery is: the path's last touch, the launch (an intent), or unknown. */
  candidate: 'touch' | 'launch' | 'unknown' | 'unknown_prior';
  assisted: boolean;
}

/**
 * Decides all plays of a key: a pure function of the set of its facts, in ascending order of `startedAt`.
 *
 * Discovery and inheritance (`discoveryOf`) are not part of a play's own decision: they are composed over the plays of
 * the key, wherever these come from.
 */
export function derive(facts: KeyFacts, rules: Rules): PlayDecision[] {
  const { playbacks } = facts;
  const plays: PlayDecision[] = [];
  scratch.reserve(playbacks.count, facts.playbackIds);
  markCounted(facts, rules);
  let first = -1;
  let last = -1;
  for (let i = 0; i < playbacks.count; i++) {
    if (scratch.counted[i] === 0) continue;
    if (first >= 0 && playbacks.time[i] - playbacks.time[last] > rules.stitchingGap) {
      plays.push(decide(facts, rules, first, last));
      first = -1;
    }
    if (first < 0) first = i;
    last = i;
  }
  if (first >= 0) plays.push(decide(facts, rules, first, last));
  return plays;
}

/** The index of the key's discovery play (its earliest qualified one) among plays in order of start, or -1. */
export function discoveryOf(plays: readonly { qualified: boolean }[]): number {
  return plays.findIndex((play) => play.qualified);
}

/** Whether nothing on time can change a play any more. `watermark` is the greatest event time surely read. */
export function isFinal(endedAt: number, watermark: number, rules: Rules): boolean {
  return watermark > endedAt + rules.stitchingGap + rules.allowedLateness;
}

/** Work space that is kept between calls: `derive` is synchronous, and nothing in here outlives a call. */
const scratch = {
  /** By playback event: whether it counts; whether it is main content; the next event of its playback id. */
  counted: new Uint8Array(0),
  main: new Uint8Array(0),
  next: new Int32Array(0),
  /** By playback id: the latest event that said a kind, or muted or not; whether it is of the play in hand. */
  kindSaidBy: new Int32Array(0),
  mutedSaidBy: new Int32Array(0),
  latest: new Int32Array(0),
  reserve(events: number, playbackIds: number): void {
    if (this.counted.length < events) {
      const size = Math.max(64, events * 2);
      this.counted = new Uint8Array(size);
      this.main = new Uint8Array(size);
      this.next = new Int32Array(size);
    }
    if (this.latest.length < playbackIds) {
      const size = Math.max(64, playbackIds * 2);
      this.kindSaidBy = new Int32Array(size);
      this.mutedSaidBy = new Int32Array(size);
      this.latest = new Int32Array(size);
    }
  },
};

/**
 * Marks the events of the main content. What an event does not say, the latest earlier event of its playback id that
 * does say decides, `kind` and `muted_autoplay` each by itself, and no longer than the flag memory.
 */
function markCounted(facts: KeyFacts, rules: Rules): void {
  const { count, time, playback, kind, muted } = facts.playbacks;
  const { counted, main, kindSaidBy, mutedSaidBy } = scratch;
  kindSaidBy.fill(-1, 0, facts.playbackIds);
  mutedSaidBy.fill(-1, 0, facts.playbackIds);
  for (let i = 0; i < count; i++) {
    const id = playback[i];
    if (kind[i] !== KIND_CODES.none) kindSaidBy[id] = i;
    if (muted[i] !== MUTED_CODES.none) mutedSaidBy[id] = i;
    const kindFrom = kindSaidBy[id];
    const mutedFrom = mutedSaidBy[id];
    const oldest = time[i] - rules.flagMemory;
    const isMain = kindFrom < 0 || time[kindFrom] < oldest || kind[kindFrom] === KIND_CODES.main;
    const isMuted = mutedFrom >= 0 && time[mutedFrom] >= oldest && muted[mutedFrom] === MUTED_CODES.yes;
    main[i] = isMain ? 1 : 0;
    counted[i] = isMain && !isMuted ? 1 : 0;
  }
}

/** Decides the play whose counted events are those from `first` to `last`. */
function decide(facts: KeyFacts, rules: Rules, first: number, last: number): PlayDecision {
  const { playbacks } = facts;
  const startedAt = playbacks.time[first];
  const endedAt = playbacks.time[last];
  const playbackFirsts = linkEvents(facts, first, last);
  const { watchedMs, runtimeMs } = watch(facts, rules, first, last);
  const play: PlayDecision = {
    startedAt,
    endedAt,
    firstEvent: first,
    playbackFirsts,
    watchedMs,
    qualified: isQualified(watchedMs, runtimeMs, rules),
    inferredStart: playbacks.action[first] !== START,
    inferredEnd: playbacks.action[last] !== STOP,
    origin: originOf(facts, rules, first, endedAt),
    rule: 'unknown',
    sopEvidence: 'none',
    sopImpression: -1,
    sopClass: -1,
    orphanToken: false,
    path: [],
    launchIsTouch: false,
    touchesOmitted: 0,
    candidate: 'unknown',
    assisted: false,
  };
  const before = countUpTo(facts, startedAt);
  decideSourceOfPlay(play, facts, rules, before);
  walkPath(play, facts, rules, before);
  decideCandidate(play);
  return play;
}

/**
 * Links each counted event of a play to the next of its playback id, and gives the first of each playback id.
 * Afterwards `scratch.latest` of a playback id is its first event in the play, -1 where it has none.
 */
function linkEvents(facts: KeyFacts, first: number, last: number): number[] {
  const { playback } = facts.playbacks;
  const { counted, next, latest } = scratch;
  latest.fill(-1, 0, facts.playbackIds);
  for (let i = last; i >= first; i--) {
    if (counted[i] === 0) continue;
    next[i] = latest[playback[i]];
    latest[playback[i]] = i;
  }
  const firsts: number[] = [];
  for (let i = first; i <= last; i++) if (latest[playback[i]] === i) firsts.push(i);
  return firsts;
}

/**
 * Watched time: each stretch that a start, resume or heartbeat begins goes on to the next event of its playback id, at
 * most the longest stretch; the play's is the length of their union, since two screens at once count once.
 */
function watch(facts: KeyFacts, rules: Rules, first: number, last: number): { watchedMs: number; runtimeMs: number } {
  const { time, action, runtime } = facts.playbacks;
  const { counted, next } = scratch;
  let watchedMs = 0;
  let runtimeMs = 0;
  let creditedTo = -Infinity;
  for (let i = first; i <= last; i++) {
    if (counted[i] === 0) continue;
    if (runtime[i] > runtimeMs) runtimeMs = runtime[i];
    if (action[i] > HEARTBEAT || next[i] < 0) continue;
    const end = Math.min(time[next[i]], time[i] + rules.longestStretch);
    // Stretches come in ascending order of their begin, so what is new of each lies after the greatest end so far.
    if (end > creditedTo) {
      watchedMs += end - Math.max(time[i], creditedTo);
      creditedTo = end;
    }
  }
  return { watchedMs, runtimeMs };
}

function isQualified(watchedMs: number, runtimeMs: number, rules: Rules): boolean {
  if (watchedMs >= rules.qualifiedWatched) return true;
  return runtimeMs > 0 && runtimeMs < rules.shortRuntime && watchedMs >= runtimeMs * rules.shareOfShortRuntime;
}

/**
 * The event whose origin is the play's: the earliest start of its playback ids from one stitching gap before it to its
 * end. Trailers and previews are left out; muted autoplay is not, since a billboard that plays by itself and is then
 * watched was the launch. -1 where there is no such start, or it has no origin.
 */
function originOf(facts: KeyFacts, rules: Rules, first: number, endedAt: number): number {
  const { count, time, action, playback, origin } = facts.playbacks;
  let i = first;
  while (i > 0 && time[i - 1] >= time[first] - rules.stitchingGap) i--;
  for (; i < count && time[i] <= endedAt; i++) {
    const ofPlay = scratch.latest[playback[i]] >= 0;
    if (action[i] === START && scratch.main[i] !== 0 && ofPlay) return origin[i] === ORIGIN_CODES.none ? -1 : i;
  }
  return -1;
}

/** How many impressions there are up to a time, it included: they come first in the columns. */
function countUpTo(facts: KeyFacts, at: number): number {
  const { count, time } = facts.impressions;
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (time[middle] <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @param before how many impressions lie at or before the start of the play */
function decideSourceOfPlay(play: PlayDecision, facts: KeyFacts, rules: Rules, before: number): void {
  const { time, surfaceClass } = facts.impressions;
  const { origin, originClass } = facts.playbacks;
  if (play.origin < 0) {
    const last = before - 1;
    if (last < 0 || time[last] < play.startedAt - rules.sourceOfPlayWindow) return;
    play.rule = 'last_impression';
    play.sopEvidence = 'inferred';
    play.sopImpression = last;
    play.sopClass = surfaceClass[last];
    return;
  }
  if (origin[play.origin] !== ORIGIN_CODES.claim) {
    const oldest = play.startedAt - rules.discoveryWindow;
    for (let i = before - 1; i >= 0 && time[i] >= oldest; i--) {
      if (!facts.names(play.origin, i)) continue;
      play.rule = 'origin_impression';
      play.sopEvidence = 'exact';
      play.sopImpression = i;
      play.sopClass = surfaceClass[i];
      return;
    }
    play.orphanToken = true;
  }
  play.rule = 'origin_claim';
  play.sopEvidence = 'claimed';
  play.sopClass = originClass[play.origin];
}

/** The discovery-class impressions of the window, the launch last where it is itself a touch. */
function walkPath(play: PlayDecision, facts: KeyFacts, rules: Rules, before: number): void {
  const { time, surfaceClass } = facts.impressions;
  const known = play.sopEvidence === 'exact' || play.sopEvidence === 'claimed';
  play.launchIsTouch = known && play.sopClass === CLASS_CODES.discovery;
  const path: number[] = [];
  if (play.launchIsTouch) path.push(play.sopImpression < 0 ? CLAIMED_LAUNCH : play.sopImpression);
  const oldest = play.startedAt - rules.discoveryWindow;
  for (let i = before - 1; i >= 0 && time[i] >= oldest; i--) {
    if (surfaceClass[i] !== CLASS_CODES.discovery) continue;
    if (play.launchIsTouch && i === play.sopImpression) continue;
    if (path.length < rules.pathTouches) path.push(i);
    else play.touchesOmitted++;
  }
  play.path = path.reverse();
}

function decideCandidate(play: PlayDecision): void {
  const intent = play.sopClass === CLASS_CODES.intent;
  if (play.path.length > 0) {
    play.candidate = 'touch';
    play.assisted = intent;
  } else if (intent) {
    play.candidate = 'launch';
  } else if (play.sopClass === CLASS_CODES.continuation || play.sopClass === CLASS_CODES.system) {
    play.candidate = 'unknown_prior';
  }
}
