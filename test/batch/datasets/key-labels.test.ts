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

test('in these runs, each label and each reason was met, and plays that went on across an impression', () => {
  const discovery = ['positive', 'negative', ...EXCLUSIONS].map((outcome) => `discovery: ${outcome}`);
  const launches = ['positive', 'negative', ...EXCLUSIONS].map((outcome) => `source_of_play: ${outcome}`);
  const expected = [...discovery, ...launches, 'a play goes on across it'];
  // Where launches count, a discovery before does not matter.
  const never = 'source_of_play: already_discovered';
  for (const what of expected) expect((met.get(what) ?? 0) > 0, what).toBe(what !== never);
});

/** Each key's facts, as they are in the batch layer; one view, loaded again and again. */
function* viewsOf(log: readonly LogRecord[]): Generator<KeyView> {
  const reader = new CoreReader(log, 'batch');
  reader.read(log);
  const view = new KeyView(reader.store);
  for (const [key, uses] of reader.store.keys.uses.entries()) if (uses > 0) yield view.load(key);
}

function labelled(log: readonly LogRecord[], labelsOf: (plays: PlayDecision[]) => KeyLabels): Map<string, string> {
  const found = new Map<string, string>();
  for (const view of viewsOf(log)) {
    const labels = labelsOf(derive(view, rules));
    for (let i = 0; i < view.impressions.count; i++) found.set(nameIn(view, i), labels.of(i, view.impressions.time[i]));
  }
  return found;
}

function nameIn(view: KeyView, impression: number): string {
  return JSON.stringify([view.profileId, view.impressionId(impression)]);
}

function nameOf({ impression }: NaiveExample): string {
  return JSON.stringify([impression.profile_id, impression.event_id]);
}
