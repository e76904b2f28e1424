import { SURFACE_CLASSES } from '../../attribution/events.ts';
import { DAY, HOUR, utcDay } from '../../attribution/time.ts';
import type { Policy } from '../../attribution/policy.ts';
import { firstAtOrAfter } from './first-at-or-after.ts';
import { KeyFeatures } from './key-features.ts';
import type { PlaysOfKeys } from './key-plays.ts';
import { EXCLUSIONS, type Exclusion, KeyLabels, type LabelRules } from './label.ts';
import type { ReadKey } from './read-keys.ts';
import type { Sampling } from './sampling.ts';
import type { Example } from './schema.ts';

/** What became of impressions. */
export interface Counts {
  impressions: number;
  examples: number;
  positives: number;
  negatives: number;
  /** Negatives that were not kept. */
  sampledOut: number;
  excluded: Record<Exclusion, number>;
}

export function noCounts(): Counts {
  const excluded = Object.fromEntries(EXCLUSIONS.map((reason) => [reason, 0])) as Record<Exclusion, number>;
  return { impressions: 0, examples: 0, positives: 0, negatives: 0, sampledOut: 0, excluded };
}

export function addCounts(sum: Counts, more: Counts): void {
  for (const name of ['impressions', 'examples', 'positives', 'negatives', 'sampledOut'] as const) {
    sum[name] += more[name];
  }
  for (const reason of EXCLUSIONS) sum.excluded[reason] += more.excluded[reason];
}

/** How many impressions the counts tell the fate of. */
export function accountedFor({ examples, sampledOut, excluded }: Counts): number {
  return examples + sampledOut + EXCLUSIONS.reduce((sum, reason) => sum + excluded[reason], 0);
}

export interface ExampleRules {
  /** The times of the impressions; `end` is not included. Epoch milliseconds. */
  begin: number;
  end: number;
  labels: LabelRules;
  sampling: Sampling;
  policies: ReadonlyMap<string, Policy>;
}

/**
 * Makes the examples of a key, by time and then id, and counts what became of each of its impressions in `counts`.
 */
export function examplesOf(key: ReadKey, plays: PlaysOfKeys, rules: ExampleRules, counts: Counts): Example[] {
  const { facts, profileId, workId } = key;
  const { served, byPolicy } = plays.of(facts);
  const labels = new KeyLabels(served, rules.labels);
  const features = new Map<string, KeyFeatures>();
  const examples: Example[] = [];
  const { count, time: times } = facts.impressions;
  const beyond = firstAtOrAfter(times, rules.end, count);
  for (let i = firstAtOrAfter(times, rules.begin, count); i < beyond; i++) {
    const time = times[i];
    counts.impressions++;
    const label = labels.of(i, time);
    if (label !== 'positive' && label !== 'negative') {
      counts.excluded[label]++;
      continue;
    }
    const seen = facts.impressionWords(i);
    if (label === 'negative' && !rules.sampling.keeps(profileId, seen.id)) {
      counts.sampledOut++;
      continue;
    }
    const hash = plays.policyOfDay(utcDay(time));
    const policy = rules.policies.get(hash);
    const shown = key.shown.get(seen.id);
    if (policy === undefined || shown === undefined) throw new RangeError(`Impression ${seen.id} was not read`);
    let ofPolicy = features.get(hash);
    if (ofPolicy === undefined) {
      ofPolicy = new KeyFeatures(facts, byPolicy.get(hash) ?? [], policy.rules.batch);
      features.set(hash, ofPolicy);
    }
    examples.push({
      profile_id: profileId,
      work_id: workId,
      title_id: shown.title,
      impression_id: seen.id,
      event_time: time,
      label: label === 'positive' ? 1 : 0,
      weight: label === 'positive' ? 1 : rules.sampling.weight,
      matured: labels.isMatured(time),
      country: shown.country,
      device_type: shown.device,
      profile_type: shown.profileType,
      page: seen.surface,
      row_type: seen.rowType,
      surface_class: policy.classOf(seen.rowType, seen.surface).class,
      row_rank: seen.rowRank,
      position: seen.position,
      hour_of_day: Math.floor((time % DAY) / HOUR),
      day_of_week: dayOfWeek(time),
      ...ofPolicy.at(time),
    });
    counts[label === 'positive' ? 'positives' : 'negatives']++;
    counts.examples++;
  }
  return examples.sort(byTimeAndId);
}

/** The values of `surface_class`. */
export const CLASSES: readonly string[] = [...SURFACE_CLASSES].sort();

/** 0 is Monday; the epoch was a Thursday. */
function dayOfWeek(time: number): number {
  return (Math.floor(time / DAY) + 3) % 7;
}

function byTimeAndId(a: Example, b: Example): number {
  return a.event_time - b.event_time || Buffer.compare(Buffer.from(a.impression_id), Buffer.from(b.impression_id));
}
