import { discoveryOf, isFinal, type PlayDecision } from '../../attribution/derive.ts';
import type { Rules } from '../../attribution/policy.ts';
import { firstAtOrAfter } from './first-at-or-after.ts';
import type { Positives } from './request.ts';

/** Why an impression is no example. */
export const EXCLUSIONS = [
  /** The play it might have led to is credited to what is no impression of its path: a search, a link, a row that was claimed, … */
  'another_surface',
  /** … to another impression of its path. */
  'another_impression',
  /** Only unqualified plays followed. */
  'unqualified',
  /** A play followed, of a work that was discovered before. */
  'already_discovered',
  /** What the label follows from may still change. */
  'not_matured',
] as const;
export type Exclusion = (typeof EXCLUSIONS)[number];
export type Label = 'positive' | 'negative' | Exclusion;

export interface LabelRules {
  positives: Positives;
  labelWindowMs: number;
  /** Of the snapshot: epoch milliseconds, Infinity where it is complete. */
  watermark: number;
  /** Of any policy: all have the same stitching gap and lateness. */
  rules: Rules;
}

/** The labels of one key's impressions. DESIGN §7; docs/decisions/0012 has the cases that it leaves open. */
export class KeyLabels {
  readonly #plays: readonly PlayDecision[];
  readonly #rules: LabelRules;
  readonly #discovery: number;
  readonly #starts: number[];
  /** By impression that a play credits: whether one of these plays is final. */
  readonly #credited = new Map<number, boolean>();

  /** @param plays of the key: all of them, in order of their start */
  constructor(plays: readonly PlayDecision[], rules: LabelRules) {
    this.#plays = plays;
    this.#rules = rules;
    this.#starts = plays.map((play) => play.startedAt);
    this.#discovery = discoveryOf(plays);
    if (rules.positives === 'source_of_play') {
      for (const play of plays) if (play.qualified) this.#credit(play.sopImpression, play);
    } else if (this.#discovery >= 0) {
      const discovery = plays[this.#discovery];
      this.#credit(creditedBy(discovery), discovery);
    }
  }

  /** @param time of the impression, epoch milliseconds */
  of(impression: number, time: number): Label {
    const credited = this.#credited.get(impression);
    if (credited !== undefined) return credited ? 'positive' : 'not_matured';
    const first = firstAtOrAfter(this.#starts, time);
    const beyond = firstAtOrAfter(this.#starts, time + this.#rules.labelWindowMs + 1);
    if (first === beyond) return this.isMatured(time) ? 'negative' : 'not_matured';
    return this.#rules.positives === 'discovery'
      ? this.#withoutDiscovery(time, first, beyond)
      : this.#withoutLaunch(time, first, beyond);
  }

  /** Whether the watermark has passed all that could make a play start in the label window. */
  isMatured(time: number): boolean {
    return isFinal(time + this.#rules.labelWindowMs, this.#rules.watermark, this.#rules.rules);
  }

  /** Plays from `first` up to `beyond` follow within the window; the discovery does not credit the impression. */
  #withoutDiscovery(time: number, first: number, beyond: number): Label {
    const at = this.#discovery;
    if (at < 0 || at >= beyond) return this.#unqualified(time, beyond);
    if (!this.#isFinal(this.#plays[at])) return 'not_matured';
    if (at < first) return 'already_discovered';
    return this.#plays[at].candidate === 'touch' && creditedBy(this.#plays[at]) >= 0
      ? 'another_impression'
      : 'another_surface';
  }

  /** No qualified play was launched from the impression. */
  #withoutLaunch(time: number, first: number, beyond: number): Label {
    const play = this.#plays.slice(first, beyond).find(({ qualified }) => qualified);
    if (play === undefined) return this.#unqualified(time, beyond);
    if (!this.#isFinal(play)) return 'not_matured';
    return play.sopImpression >= 0 ? 'another_impression' : 'another_surface';
  }

  /** Of all plays in the window: it must have passed, and the last of them be final. */
  #unqualified(time: number, beyond: number): Label {
    return this.isMatured(time) && this.#isFinal(this.#plays[beyond - 1]) ? 'unqualified' : 'not_matured';
  }

  #credit(impression: number, play: PlayDecision): void {
    if (impression < 0) return;
    this.#credited.set(impression, this.#isFinal(play) || this.#credited.get(impression) === true);
  }

  #isFinal(play: PlayDecision): boolean {
    return isFinal(play.endedAt, this.#rules.watermark, this.#rules.rules);
  }
}

/** The impression that is a play's candidate source of discovery, -1 where none is. */
function creditedBy({ candidate, path, sopImpression }: PlayDecision): number {
  if (candidate === 'touch') return path[path.length - 1];
  return candidate === 'launch' ? sopImpression : -1;
}
