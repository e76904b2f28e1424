import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { workOf } from './samples.ts';
import { derive } from '../../attribution/derive.ts';
import { explain, VERDICT_WORDS, type Candidate, type Explanation } from '../../attribution/explain.ts';
import { KeyView } from '../../attribution/facts/key-view.ts';
import { describePlay, type Play } from '../../attribution/plays.ts';
import { defaultPolicy, type Layer, type Rules } from '../../attribution/policy.ts';
import type { LogRecord } from '../oracle/oracle.ts';
import { crowdedWorld, world } from '../oracle/worlds.ts';
import { CoreReader } from './core-answer.ts';
import { runs } from './runs.ts';

const layers: Layer[] = ['speed', 'batch'];

/** The explanations of all plays of a log, and how the plays are told without them. */
function explainAll(log: LogRecord[], layer: Layer): { explanation: Explanation; play: Play; impressions: number }[] {
  const reader = new CoreReader(log, layer);
  reader.read(log);
  const { store } = reader;
  const rules = defaultPolicy.rules[layer];
  const keys = new Set(log.map(({ event }) => store.keyOf(event.profile_id, workOf(event))));
  return [...keys].flatMap((key) => {
    const view = new KeyView(store).load(key);
    return derive(view, rules).map((decision) => ({
      explanation: explain(decision, view, rules),
      play: describePlay(decision, view),
      impressions: view.impressions.count,
    }));
  });
}

/** What the verdict on a candidate as source of play promises of it. */
function sourceOfPlayHolds(candidate: Candidate, { play, candidates }: Explanation, rules: Rules): boolean {
  const winner = candidates.find(({ source_of_play: verdict }) => verdict.startsWith('won_'));
  const { seen_at: at } = candidate;
  const since = (window: number) => at >= play.started_at - window && at <= play.started_at;
  switch (candidate.source_of_play) {
    case 'won_named_by_origin':
      return play.rule === 'origin_impression' && play.sop.evidence === 'exact' && since(rules.discoveryWindow);
    case 'won_last_before_play':
      return play.rule === 'last_impression' && play.sop.evidence === 'inferred' && since(rules.sourceOfPlayWindow);
    case 'after_the_play':
      return at > play.started_at;
    case 'older_than_the_window':
      return !since(play.rule.startsWith('origin') ? rules.discoveryWindow : rules.sourceOfPlayWindow);
    case 'origin_names_another':
      return play.rule === 'origin_impression' && since(rules.discoveryWindow);
    case 'origin_claims_a_row':
      return play.rule === 'origin_claim' && since(rules.discoveryWindow);
    case 'earlier_than_the_winner':
      return winner !== undefined && at < winner.seen_at;
    case 'lost_the_tie':
      return winner !== undefined && at === winner.seen_at && losesTie(candidate, winner);
    case 'won_last_touch':
    case 'won_launch':
    case 'class_takes_no_part':
    case 'launch_stands_last':
    case 'beyond_the_kept_path':
      return false;
  }
}

/** What the verdict on a candidate as source of discovery promises of it. */
function discoveryHolds(candidate: Candidate, { play, candidates }: Explanation, rules: Rules): boolean {
  const winner = candidates.find(({ source_of_discovery: verdict }) => verdict.startsWith('won_'));
  const { seen_at: at } = candidate;
  const eligible = at >= play.started_at - rules.discoveryWindow && at <= play.started_at;
  const inPath = play.path.some(({ impression_id: id }) => id === candidate.impression_id);
  const touches = eligible && candidate.class === 'discovery';
  const launched = play.sop.class === 'discovery' && ['exact', 'claimed'].includes(play.sop.evidence);
  switch (candidate.source_of_discovery) {
    case 'won_last_touch':
      return touches && inPath && !launched;
    case 'won_launch':
      return touches && inPath && launched && play.sop.impression_id === candidate.impression_id;
    case 'after_the_play':
      return at > play.started_at;
    case 'older_than_the_window':
      return at < play.started_at - rules.discoveryWindow;
    case 'class_takes_no_part':
      return eligible && candidate.class !== 'discovery' && !inPath;
    case 'launch_stands_last':
      return touches && inPath && launched;
    case 'earlier_than_the_winner':
      return touches && inPath && winner !== undefined && at < winner.seen_at;
    case 'lost_the_tie':
      return touches && inPath && winner !== undefined && at === winner.seen_at && losesTie(candidate, winner);
    case 'beyond_the_kept_path':
      return touches && !inPath;
    case 'won_named_by_origin':
    case 'won_last_before_play':
    case 'origin_names_another':
    case 'origin_claims_a_row':
      return false;
  }
}

function losesTie(loser: Candidate, winner: Candidate): boolean {
  const byPlace = loser.row_rank - winner.row_rank || loser.position - winner.position;
  return byPlace === 0 ? loser.impression_id > winner.impression_id : byPlace > 0;
}

function isId(id: string | null | undefined): boolean {
  return typeof id === 'string';
}

describe.each(layers)('in the %s layer an explanation', (layer) => {
  const rules = defaultPolicy.rules[layer];
  const onWorlds = (check: (told: ReturnType<typeof explainAll>[number]) => void) => {
    fc.assert(
      fc.property(fc.oneof({ arbitrary: world, weight: 5 }, crowdedWorld), (log) => {
        for (const told of explainAll(log, layer)) check(told);
      }),
      { numRuns: runs(300) },
    );
  };

  test('is of the play as it is told elsewhere, with every impression of the key, the latest first', () => {
    onWorlds(({ explanation, play, impressions }) => {
      const { candidates } = explanation;
      expect(explanation.play).toEqual(play);
      expect(explanation.rule).toBe(play.rule);
      expect(candidates).toHaveLength(impressions);
      const times = candidates.map(({ seen_at: at }) => at);
      expect(times).toEqual([...times].sort((a, b) => b - a));
    });
  });

  test('has the winners that the play has, and no other', () => {
    onWorlds(({ explanation: { candidates }, play }) => {
      const winners = (verdicts: 'source_of_play' | 'source_of_discovery') =>
        candidates.filter((candidate) => candidate[verdicts].startsWith('won_')).map(({ impression_id: id }) => id);
      expect(winners('source_of_play')).toEqual([play.sop.impression_id].filter(isId));
      expect(winners('source_of_discovery')).toEqual([play.path.at(-1)?.impression_id].filter(isId));
      const beyond = candidates.filter(({ source_of_discovery: verdict }) => verdict === 'beyond_the_kept_path');
      expect(beyond).toHaveLength(play.touches_omitted);
      const winner = candidates.find(({ source_of_play: verdict }) => verdict.startsWith('won_'));
      if (winner) {
        const { surface, row_type, row_id, row_rank, position, class: own } = winner;
        expect(play.sop).toMatchObject({ surface, row_type, row_id, row_rank, position, class: own });
      }
    });
  });

  test('gives verdicts that are true of each impression', () => {
    onWorlds(({ explanation }) => {
      for (const candidate of explanation.candidates) {
        if (!sourceOfPlayHolds(candidate, explanation, rules)) expect(candidate).toBe('otherwise as a source of play');
        if (!discoveryHolds(candidate, explanation, rules)) expect(candidate).toBe('otherwise as a discovery');
      }
    });
  });
});

test('every verdict occurs, has words of its own, and the worlds show each often', () => {
  const counts = new Map<string, number>();
  for (const log of [
    ...fc.sample(world, { numRuns: 400, seed: 1 }),
    ...fc.sample(crowdedWorld, { numRuns: 20, seed: 1 }),
  ]) {
    for (const { explanation } of explainAll(log, 'batch')) {
      for (const { source_of_play: one, source_of_discovery: other } of explanation.candidates) {
        for (const verdict of [one, other]) counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
      }
    }
  }
  const words = Object.entries(VERDICT_WORDS);
  expect([...counts.keys()].sort()).toEqual(words.map(([verdict]) => verdict).sort());
  for (const [verdict, count] of counts) expect(count, verdict).toBeGreaterThan(10);
  expect(new Set(words.map(([, text]) => text)).size).toBe(words.length);
  for (const [, text] of words) expect(text.length).toBeGreaterThan(10);
});
