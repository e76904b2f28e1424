import { derive, type PlayDecision } from '../../attribution/derive.ts';
import type { Policy } from '../../attribution/policy.ts';
import { ClassCodes, type KeyRows } from '../key-rows.ts';
import { policyOfPlay } from '../policy-of-play.ts';
import type { PinnedDay } from './pins.ts';

/** The plays of one key, as the pinned version has them. */
export interface PlaysOfKey {
  /** All of them, each by the policy of its first covered day, in order of their start. */
  served: PlayDecision[];
  /** All plays that there are by one policy, by its hash. */
  byPolicy: ReadonlyMap<string, readonly PlayDecision[]>;
}

/**
 * Derives the plays of keys from all of their facts in the snapshot: those of covered days are the pinned version's plays, by
 * what a version is. Days that are not covered have the policy of the dataset's last day: their plays can be the ones that
 * discovered a work.
 */
export class PlaysOfKeys {
  readonly #policies: ReadonlyMap<string, Policy>;
  readonly #policyOf: ReadonlyMap<string, string>;
  readonly #otherwise: string;
  readonly #classes: ReadonlyMap<string, ClassCodes>;

  /** @param lastDay of the dataset, covered */
  constructor(days: readonly PinnedDay[], policies: ReadonlyMap<string, Policy>, lastDay: string) {
    this.#policies = policies;
    this.#policyOf = new Map(days.map(({ day, policy }) => [day, policy]));
    this.#otherwise = this.policyOfDay(lastDay);
    this.#classes = new Map([...policies].map(([hash, policy]) => [hash, new ClassCodes(policy)]));
  }

  /** The hash of the policy of a covered day. */
  policyOfDay(day: string): string {
    const hash = this.#policyOf.get(day);
    if (hash === undefined) throw new RangeError(`The day ${day} is not covered`);
    return hash;
  }

  of(facts: KeyRows): PlaysOfKey {
    const byPolicy = new Map<string, PlayDecision[]>();
    const served: PlayDecision[] = [];
    for (const [hash, policy] of this.#policies) {
      const classes = this.#classes.get(hash);
      if (classes === undefined) continue;
      const plays = derive(facts.load(classes), policy.rules.batch);
      byPolicy.set(hash, plays);
      served.push(...plays.filter((play) => (policyOfPlay(play, this.#policyOf) ?? this.#otherwise) === hash));
    }
    if (this.#policies.size > 1) served.sort((a, b) => a.startedAt - b.startedAt);
    return { served, byPolicy };
  }
}
