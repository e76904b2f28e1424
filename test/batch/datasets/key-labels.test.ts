import fc from 'fast-check';
import { expect, test } from 'vitest';
import { derive, type PlayDecision } from '../../../attribution/derive.ts';
import { KeyView } from '../../../attribution/facts/key-view.ts';
import { defaultPolicy } from '../../../attribution/policy.ts';
import { KeyFeatures } from '../../../batch/datasets/key-features.ts';
import { EXCLUSIONS, KeyLabels } from '../../../batch/datasets/label.ts';
import { CoreReader } from '../../core/core-answer.ts';
import type { LogRecord } from '../../oracle/oracle.ts';
import { crowdedWorld, world } from '../../oracle/worlds.ts';
import { type NaiveExample, naiveExamples, naiveFeatures } from './naive-examples.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const rules = defaultPolicy.rules.batch;

/** What became of impressions, over all runs: a test that never met a reason proves nothing of it. */
const met = new Map<string, number>();
const meet = (what: string) => met.set(what, (met.get(what) ?? 0) + 1);

const worlds = fc.oneof({ arbitrary: world, weight: 9 }, { arbitrary: crowdedWorld, weight: 1 });

test('a label, or the reason why there is none, is that of a naive reading of the rules', () => {
  const ask = fc.record({
    positives: fc.constantFrom('discovery' as const, 'source_of_play' as const),
    labelWindowMs: fc.constantFrom(1, MINUTE, 30 * MINUTE, DAY, 30 * DAY),
    /** How far the watermark is beyond an event; none: complete. */
    beyond: fc.constantFrom(null, 0, 1, 40 * MINUTE, 40 * MINUTE + 1, DAY + 40 * MINUTE, DAY + 40 * MINUTE + 1),
    event: fc.nat(),
  });
  fc.assert(
    fc.property(worlds, ask, (log, { positives, labelWindowMs, beyond, event }) => {
      fc.pre(log.length > 0);
      const watermark = beyond === null ? Infinity : log[event % log.length].event.event_time + beyond;
      const naive = naiveExamples(log, { from: '0', to: '9', positives, labelWindowMs, watermark });
      expect(labelled(log, (plays) => new KeyLabels(plays, { positives, labelWindowMs, watermark, rules }))).toEqual(
        new Map(naive.map((each) => [nameOf(each), each.outcome])),
      );
      for (const { outcome } of naive) meet(`${positives}: ${outcome}`);
    }),
    { numRuns: 1_000 },
  );
}, 120_000);

test('features are what the facts before the impression say, and nothing else', () => {
  fc.assert(
    fc.property(worlds, (log) => {
      const naive = naiveExamples(log, {
        from: '0',
        to: '9',
        positives: 'discovery',
        labelWindowMs: DAY,
        watermark: Infinity,
      });
      for (const view of viewsOf(log)) {
        const plays = derive(view, rules);
        const features = new KeyFeatures(view, plays, rules);
        for (let i = 0; i < view.impressions.count; i++) {
          const time = view.impressions.time[i];
          const found = naive.find((each) => nameOf(each) === nameIn(view, i));
          expect(found).toBeDefined();
          if (found === undefined) continue;
          expect(naiveFeatures(log, found.impression)).toMatchObject(features.at(time));
          if (plays.some((play) => play.startedAt < time && time <= play.endedAt)) meet('a play goes on across it');
        }
      }
    }),
    { numRuns: 300 },
  );
}, 120_000);

test('whatever happens later changes nothing of earlier features', () => {
  const later = fc.record({ like: fc.nat(), at: fc.nat(), after: fc.constantFrom(0, 0, 1, MINUTE) });
  fc.assert(
    fc.property(worlds, fc.array(later, { minLength: 1, maxLength: 3 }), (log, later) => {
      fc.pre(log.length > 0);
      const future = later.map(({ like, at, after }, i): LogRecord => {
        const event_time = log[at % log.length].event.event_time + after;
        const event = { ...log[like % log.length].event, event_id: `future ${i}`, event_time };
        return { topic: 'zzz', partition: 0, offset: i, event };
      });
      const earliest = Math.min(...future.map(({ event }) => event.event_time));
      const [before, after] = [featuresUpTo(log, earliest), featuresUpTo([...log, ...future], earliest)];
      for (const [impression, features] of before) expect(after.get(impression)).toBe(features);
      if (before.size > 0 && labelsChange(log, [...log, ...future])) meet('a later event changes a label');
    }),
    { numRuns: 1_000 },
  );
}, 120_000);

test('in these runs, each label and each reason was met, and plays that went on across an impression', () => {
  const discovery = ['positive', 'negative', ...EXCLUSIONS].map((outcome) => `discovery: ${outcome}`);
  const launches = ['positive', 'negative', ...EXCLUSIONS].map((outcome) => `source_of_play: ${outcome}`);
  const expected = [...discovery, ...launches, 'a play goes on across it', 'a later event changes a label'];
  // Where launches count, a discovery before does not matter.
  const never = 'source_of_play: already_discovered';
  for (const what of expected) expect((met.get(what) ?? 0) > 0, what).toBe(what !== never);
});

/** Each key's facts, as they are in the batch layer; one view, loaded again and again. */
function* viewsOf(log: readonly LogRecord[]): Generator<KeyView> {
  const reader = new CoreReader(log, 'batch');
  reader.read(log);
  const view = new KeyView(reader.store);
  // Nothing was dropped: keys have the first numbers.
  for (let key = 0; key < reader.store.keys.size; key++) yield view.load(key);
}

function labelled(log: readonly LogRecord[], labelsOf: (plays: PlayDecision[]) => KeyLabels): Map<string, string> {
  const found = new Map<string, string>();
  for (const view of viewsOf(log)) {
    const labels = labelsOf(derive(view, rules));
    for (let i = 0; i < view.impressions.count; i++) found.set(nameIn(view, i), labels.of(i, view.impressions.time[i]));
  }
  return found;
}

/** By impression, the features of those up to a time as text: equal where every digit is. */
function featuresUpTo(log: readonly LogRecord[], until: number): Map<string, string> {
  const found = new Map<string, string>();
  for (const view of viewsOf(log)) {
    const features = new KeyFeatures(view, derive(view, rules), rules);
    for (let i = 0; i < view.impressions.count; i++) {
      const time = view.impressions.time[i];
      if (time <= until) found.set(nameIn(view, i), JSON.stringify(features.at(time)));
    }
  }
  return found;
}

function labelsChange(before: readonly LogRecord[], after: readonly LogRecord[]): boolean {
  const labelsOf = (log: readonly LogRecord[]) =>
    labelled(
      log,
      (plays) => new KeyLabels(plays, { positives: 'discovery', labelWindowMs: DAY, watermark: Infinity, rules }),
    );
  const changed = labelsOf(after);
  return [...labelsOf(before)].some(([impression, label]) => changed.get(impression) !== label);
}

function nameIn(view: KeyView, impression: number): string {
  return JSON.stringify([view.profileId, view.impressionId(impression)]);
}

function nameOf({ impression }: NaiveExample): string {
  return JSON.stringify([impression.profile_id, impression.event_id]);
}
