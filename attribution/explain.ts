import type { KeyFacts, PlayDecision, Rule } from './derive.ts';
import { SURFACE_CLASSES, type SurfaceClass } from './events.ts';
import { describePlay, type KeyWords, type Play } from './plays.ts';
import type { Rules } from './policy.ts';

/** Why an impression is, or is not, the source. */
export type Verdict =
  | 'won_named_by_origin'
  | 'won_last_before_play'
  | 'won_last_touch'
  | 'won_launch'
  | 'after_the_play'
  | 'older_than_the_window'
  | 'origin_names_another'
  | 'origin_claims_a_row'
  | 'class_takes_no_part'
  | 'launch_stands_last'
  | 'earlier_than_the_winner'
  | 'lost_the_tie'
  | 'beyond_the_kept_path';

/** One impression of the key, and what became of it in the decision on one play. */
export interface Candidate {
  impression_id: string;
  /** Epoch milliseconds. */
  seen_at: number;
  surface: string;
  row_type: string | null;
  row_id: string;
  row_rank: number;
  position: number;
  class: SurfaceClass;
  /** As the source of this play, and as the source of discovery. */
  source_of_play: Verdict;
  source_of_discovery: Verdict;
}

export interface Explanation {
  play: Play;
  rule: Rule;
  /** Every impression of the key, the latest first. */
  candidates: Candidate[];
}

/** The words for people. */
export const VERDICT_WORDS: Readonly<Record<Verdict, string>> = {
  won_named_by_origin: 'wins: the launch names it',
  won_last_before_play: 'wins: the last impression before the play',
  won_last_touch: 'wins: the last touch of the path',
  won_launch: 'wins: the play was launched from it',
  after_the_play: 'seen after the play began',
  older_than_the_window: 'older than the window',
  origin_names_another: 'the launch names another impression',
  origin_claims_a_row: 'the launch names no eligible impression; what it says counts',
  class_takes_no_part: 'its class takes no part in discovery',
  launch_stands_last: 'the launch itself is the last touch',
  earlier_than_the_winner: 'earlier than the winner',
  lost_the_tie: 'same time as the winner, which has the lower row rank, position or id',
  beyond_the_kept_path: 'beyond the last touches that a path keeps',
};

/** Says of every impression of a key why it won or lost a play. The key must hold the facts decided on. */
export function explain(decision: PlayDecision, key: KeyFacts & KeyWords, rules: Rules): Explanation {
  const candidates: Candidate[] = [];
  for (let i = key.impressions.count - 1; i >= 0; i--) {
    const seen = key.impressionWords(i);
    candidates.push({
      impression_id: seen.id,
      seen_at: seen.time,
      surface: seen.surface,
      row_type: seen.rowType,
      row_id: seen.rowId,
      row_rank: seen.rowRank,
      position: seen.position,
      class: SURFACE_CLASSES[key.impressions.surfaceClass[i]],
      source_of_play: judgeSourceOfPlay(i, decision, key, rules),
      source_of_discovery: judgeDiscovery(i, decision, key, rules),
    });
  }
  return { play: describePlay(decision, key), rule: decision.rule, candidates };
}

function judgeSourceOfPlay(impression: number, decision: PlayDecision, key: KeyFacts, rules: Rules): Verdict {
  const at = key.impressions.time[impression];
  const named = decision.origin >= 0;
  if (impression === decision.sopImpression) return named ? 'won_named_by_origin' : 'won_last_before_play';
  if (at > decision.startedAt) return 'after_the_play';
  if (named && at < decision.startedAt - rules.discoveryWindow) return 'older_than_the_window';
  if (decision.rule === 'origin_claim') return 'origin_claims_a_row';
  if (decision.rule === 'origin_impression') {
    return key.names(decision.origin, impression) ? behind(decision.sopImpression, at, key) : 'origin_names_another';
  }
  if (at < decision.startedAt - rules.sourceOfPlayWindow) return 'older_than_the_window';
  return behind(decision.sopImpression, at, key);
}

function judgeDiscovery(impression: number, decision: PlayDecision, key: KeyFacts, rules: Rules): Verdict {
  const at = key.impressions.time[impression];
  const winner = decision.path.at(-1) ?? -1;
  if (impression === winner) return decision.launchIsTouch ? 'won_launch' : 'won_last_touch';
  if (at > decision.startedAt) return 'after_the_play';
  if (at < decision.startedAt - rules.discoveryWindow) return 'older_than_the_window';
  if (SURFACE_CLASSES[key.impressions.surfaceClass[impression]] !== 'discovery') return 'class_takes_no_part';
  if (!decision.path.includes(impression)) return 'beyond_the_kept_path';
  return decision.launchIsTouch ? 'launch_stands_last' : behind(winner, at, key);
}

function behind(winner: number, at: number, key: KeyFacts): Verdict {
  return key.impressions.time[winner] === at ? 'lost_the_tie' : 'earlier_than_the_winner';
}
