import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Event } from '../../attribution/events.ts';
import { crowdedWorld, world } from '../oracle/worlds.ts';
import { groups } from '../oracle/order.ts';
import { oracle, speedLedger, type LogRecord, type OracleAnswer } from '../oracle/oracle.ts';
import { CoreReader, coreAnswer } from './core-answer.ts';
import { runs } from './runs.ts';

const RUNS = runs(1_500);
const layers = ['speed', 'batch'] as const;

/** Weights are compared apart: theirs is the only arithmetic that may differ in the last digit. */
function expectSame(answer: OracleAnswer, expected: OracleAnswer): void {
  expect(answer.plays).toEqual(expected.plays);
  expect(answer.discoveries).toEqual(expected.discoveries);
  expect(withoutWeights(answer.credits)).toEqual(withoutWeights(expected.credits));
  answer.credits.forEach((credit, i) => expect(credit.weight).toBeCloseTo(expected.credits[i].weight, 8.9));
}

function withoutWeights(credits: OracleAnswer['credits']) {
  return credits.map((credit) => ({ ...credit, weight: null }));
}

/** Some way to cut a log into batches. */
const cuts = fc.array(fc.nat({ max: 40 }), { maxLength: 12 });

function cut(log: LogRecord[], places: number[]): LogRecord[][] {
  const sorted = [0, ...places.map((place) => place % (log.length + 1)).sort((a, b) => a - b), log.length];
  return sorted.slice(1).map((end, i) => log.slice(sorted[i], end));
}

describe.each(layers)('in the %s layer the core agrees with the oracle in every column', (layer) => {
  test('on hostile little worlds', () => {
    fc.assert(
      fc.property(world, (log) => expectSame(coreAnswer(log, layer), oracle(log, layer))),
      { numRuns: RUNS },
    );
  });

  test('where a path holds more touches than are kept', () => {
    fc.assert(
      fc.property(crowdedWorld, (log) => expectSame(coreAnswer(log, layer), oracle(log, layer))),
      { numRuns: runs(100) },
    );
  });

  test('however the log is cut into batches, deriving what changed after each', () => {
    fc.assert(
      fc.property(world, cuts, (log, places) => {
        const reader = new CoreReader(log, layer);
        for (const batch of cut(log, places)) reader.read(batch);
        expectSame(reader.answer(), oracle(log, layer));
      }),
      { numRuns: RUNS },
    );
  });

  test('at every moment of a log that is read record by record', () => {
    fc.assert(
      fc.property(world, (log) => {
        const reader = new CoreReader(log, layer);
        log.forEach((record, i) => {
          reader.read([record]);
          if (i % 7 === 0) expectSame(reader.answer(), oracle(log.slice(0, i + 1), layer));
        });
      }),
      { numRuns: runs(100) },
    );
  });

  test('whichever topic-partition is read first', () => {
    fc.assert(
      fc.property(world, fc.infiniteStream(fc.nat()), (log, choices) => {
        expectSame(coreAnswer(interleave(log, choices), layer), oracle(log, layer));
      }),
      { numRuns: RUNS },
    );
  });
});

test('batch: any order of reading and any copies at greater offsets give the same answer', () => {
  fc.assert(
    fc.property(world, fc.infiniteStream(fc.nat()), (log, choices) => {
      const next = () => choices.next().value;
      const copies = log.filter(() => next() % 4 === 0).map((record, i) => ({ ...record, offset: 1_000 + i }));
      const kept = new Set<string>();
      // A set needs no order; which of several copies counts is decided by their place, so only those keep theirs.
      const unique = [...log]
        .sort(byPlace)
        .filter(({ event }) => !kept.has(identity(event)) && kept.add(identity(event)));
      const shuffled = unique.map((record) => ({ record, at: next() })).sort((a, b) => a.at - b.at);
      const reordered = [...shuffled.map(({ record }) => record), ...copies];
      expectSame(coreAnswer(reordered, 'batch'), oracle(log, 'batch'));
    }),
    { numRuns: RUNS },
  );
});

test('speed: each record is counted as the oracle counts it, conflicts included', () => {
  let conflicts = 0;
  fc.assert(
    fc.property(world, (log) => {
      const reader = new CoreReader(log, 'speed');
      reader.read(log);
      const counted = new Map<string, number>();
      log.forEach((record, i) => {
        const day = new Date(record.event.event_time).toISOString().slice(0, 10);
        const cell = `${record.topic} ${record.partition} ${day} ${reader.outcomes[i]}`;
        counted.set(cell, (counted.get(cell) ?? 0) + 1);
      });
      const expected = speedLedger(log).flatMap((row) =>
        (['applied', 'duplicate', 'late', 'excluded'] as const).map(
          (outcome) => [`${row.topic} ${row.partition} ${row.day} ${outcome}`, row[outcome]] as const,
        ),
      );
      expect(counted).toEqual(new Map(expected.filter(([, count]) => count > 0)));
      expect(reader.conflicts).toBeLessThanOrEqual(reader.outcomes.filter((outcome) => outcome === 'duplicate').length);
      conflicts += reader.conflicts;
    }),
    { numRuns: RUNS },
  );
  expect(conflicts).toBeGreaterThan(0);
});

test('invariants: one discovery a key with a qualified play, weights that sum to 1, paths that end at the winner', () => {
  const fired = new Map<string, number>();
  const fire = (what: string) => fired.set(what, (fired.get(what) ?? 0) + 1);
  fc.assert(
    fc.property(world, fc.constantFrom(...layers), (log, layer) => {
      const { plays, discoveries, credits } = coreAnswer(log, layer);
      const keys = new Set(plays.map((play) => `${play.profile_id}\0${play.work_id}`));
      for (const key of keys) {
        const ofKey = plays.filter((play) => `${play.profile_id}\0${play.work_id}` === key);
        const discovered = ofKey.filter((play) => play.is_discovery);
        expect(discovered).toHaveLength(ofKey.some((play) => play.qualified) ? 1 : 0);
        for (const play of ofKey.filter((play) => discovered[0] && play.started_at > discovered[0].started_at)) {
          fire('inherited');
          expect(play.sod_impression_id).toBe(discovered[0].sod_impression_id);
          expect(play.discovered_at).toBe(discovered[0].started_at);
        }
      }
      expect(discoveries).toHaveLength(plays.filter((play) => play.is_discovery).length);
      for (const play of plays) {
        for (const what of [play.rule, `sop ${play.sop_evidence}`, `sod ${play.sod_evidence}`, play.sod_surface])
          fire(what);
        for (const flag of ['assisted', 'orphan_token', 'inferred_start', 'inferred_end', 'qualified'] as const) {
          if (play[flag]) fire(flag);
        }
        expect(play.path.length).toBeLessThanOrEqual(50);
        for (const model of ['last_touch', 'first_touch', 'linear', 'position_based', 'time_decay']) {
          const own = credits.filter((c) => c.model === model && c.started_at === play.started_at && sameKey(c, play));
          const sum = own.reduce((total, credit) => total + credit.weight, 0);
          if (play.path.length === 0) expect(own).toEqual([]);
          else expect(sum).toBeCloseTo(1, 9);
        }
      }
    }),
    { numRuns: RUNS, seed: 20_251_124 },
  );
  const everything = [
    'origin_impression origin_claim last_impression unknown unknown_prior search'.split(' '),
    ['sop exact', 'sop claimed', 'sop inferred', 'sop none', 'sod exact', 'sod claimed', 'sod inferred', 'sod none'],
    'assisted orphan_token inferred_start inferred_end qualified inherited'.split(' '),
  ];
  for (const what of everything.flat()) expect(fired.get(what) ?? 0, what).toBeGreaterThan(RUNS / 150);
});

function sameKey(a: { profile_id: string; work_id: string }, b: { profile_id: string; work_id: string }): boolean {
  return a.profile_id === b.profile_id && a.work_id === b.work_id;
}

function identity(event: Event): string {
  return `${event.type}\0${event.profile_id}\0${event.event_id}`;
}

function byPlace(a: LogRecord, b: LogRecord): number {
  return (a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : 0) || a.partition - b.partition || a.offset - b.offset;
}

/** Another order of reading that keeps the order within each topic-partition. */
function interleave(log: LogRecord[], choices: fc.Stream<number>): LogRecord[] {
  const queues = groups(log, (record) => `${record.topic} ${record.partition}`);
  const order: LogRecord[] = [];
  while (queues.length > 0) {
    const chosen = choices.next().value % queues.length;
    order.push(...queues[chosen].splice(0, 1));
    if (queues[chosen].length === 0) queues.splice(chosen, 1);
  }
  return order;
}
