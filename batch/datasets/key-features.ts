import { derive, type KeyFacts, type PlayDecision } from '../../attribution/derive.ts';
import type { Rules } from '../../attribution/policy.ts';
import { DAY, SECOND } from '../../attribution/time.ts';
import { firstAtOrAfter } from './first-at-or-after.ts';
import type { Features } from './schema.ts';

/** How far back impressions are counted; the facts of a key must reach so far before its first example. */
export const FEATURE_WINDOW = 30 * DAY;

/** Plays, added up. */
interface Watched {
  plays: number;
  qualified: number;
  watchedMs: number;
  /** Of the last counted event, -Infinity where there is none. */
  lastAt: number;
}
const NOTHING: Watched = { plays: 0, qualified: 0, watchedMs: 0, lastAt: -Infinity };

/**
 * The features of one key's impressions, each from the facts before it alone, by one policy.
 *
 * What counts, what is stitched to what, and how long was watched follow from events up to then only. So a play that had
 * ended before an impression is, of the facts before it, the same play; of the one that goes on across it, the core derives
 * what had been of it. At most one does.
 */
export class KeyFeatures {
  readonly #facts: KeyFacts;
  readonly #rules: Rules;
  readonly #starts: number[];
  readonly #ends: number[];
  /** Of the first so many plays. */
  readonly #sums: Watched[] = [NOTHING];
  /** By the number of playback events before: the last play of these. */
  readonly #unfinished = new Map<number, Watched>();

  /** @param plays all plays of the key by these rules, in order of their start; the key must hold their facts */
  constructor(facts: KeyFacts, plays: readonly PlayDecision[], rules: Rules) {
    this.#facts = facts;
    this.#rules = rules;
    this.#starts = plays.map((play) => play.startedAt);
    this.#ends = plays.map((play) => play.endedAt);
    for (const play of plays) this.#sums.push(add(this.#sums[this.#sums.length - 1], play));
  }

  /** @param time of the impression, epoch milliseconds */
  at(time: number): Features {
    const { impressions } = this.#facts;
    const before = firstAtOrAfter(impressions.time, time, impressions.count);
    const countSince = (since: number) => before - firstAtOrAfter(impressions.time, since, before);
    const impressions30d = countSince(time - FEATURE_WINDOW);
    const { plays, qualified, watchedMs, lastAt } = this.#watchedBefore(time);
    return {
      impressions_24h: countSince(time - DAY),
      impressions_30d: impressions30d,
      seconds_since_impression: impressions30d === 0 ? null : (time - impressions.time[before - 1]) / SECOND,
      plays,
      qualified_plays: qualified,
      watched_ms: watchedMs,
      seconds_since_play: plays === 0 ? null : (time - lastAt) / SECOND,
      discovered_before: qualified > 0,
    };
  }

  #watchedBefore(time: number): Watched {
    const begun = firstAtOrAfter(this.#starts, time);
    if (begun === 0 || this.#ends[begun - 1] < time) return this.#sums[begun];
    const ended = this.#sums[begun - 1];
    const open = this.#playUpTo(time);
    return {
      plays: ended.plays + open.plays,
      qualified: ended.qualified + open.qualified,
      watchedMs: ended.watchedMs + open.watchedMs,
      lastAt: open.lastAt,
    };
  }

  /** What there was, before a time, of the play that goes on across it. */
  #playUpTo(time: number): Watched {
    const { impressions, playbacks, playbackIds } = this.#facts;
    const count = firstAtOrAfter(playbacks.time, time, playbacks.count);
    let found = this.#unfinished.get(count);
    if (found === undefined) {
      const facts: KeyFacts = {
        // What was watched does not depend on what was seen.
        impressions: { ...impressions, count: 0 },
        playbacks: { ...playbacks, count },
        playbackIds,
        names: () => false,
      };
      const plays = derive(facts, this.#rules);
      found = add(NOTHING, plays[plays.length - 1]);
      this.#unfinished.set(count, found);
    }
    return found;
  }
}

function add(sum: Watched, play: PlayDecision): Watched {
  return {
    plays: sum.plays + 1,
    qualified: sum.qualified + (play.qualified ? 1 : 0),
    watchedMs: sum.watchedMs + play.watchedMs,
    lastAt: play.endedAt,
  };
}
