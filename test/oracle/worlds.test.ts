import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type LogRecord, oracle, speedLedger } from './oracle.ts';
import { traitsOfAnswers } from './traits-of-answers.ts';
import { traitsOfLog } from './traits-of-log.ts';
import { type Trait, traits } from './traits.ts';
import { crowdedWorld, world } from './worlds.ts';

const WORLDS = 2000;
const SEED = 20251124;
const worlds = fc.sample(world, { numRuns: WORLDS, seed: SEED });

describe('the worlds are hostile enough', () => {
  const counts = countTraits(worlds);

  it('has no event too many, and each at a place of its own', () => {
    for (const log of worlds) {
      expect(log.length).toBeGreaterThan(0);
      expect(log.length).toBeLessThanOrEqual(40);
      const places = log.map(({ topic, partition, offset }) => `${topic} ${partition} ${offset}`);
      expect(new Set(places).size).toBe(log.length);
    }
  });

  it.each(Object.entries(traits) as [Trait, number][])('%s: in at least %i of them', (trait, least) => {
    expect(counts.get(trait) ?? 0).toBeGreaterThanOrEqual(least);
  });
});

describe('the oracle keeps what the rules say of every answer', () => {
  const answers = worlds.flatMap((log) => [oracle(log, 'batch'), oracle(log, 'speed')]);

  it('gives each credited play of each model weights that sum to 1', () => {
    for (const { plays, credits } of answers) {
      for (const play of plays) {
        const own = credits.filter(
          (credit) =>
            credit.profile_id === play.profile_id &&
            credit.work_id === play.work_id &&
            credit.started_at === play.started_at,
        );
        const units = own.reduce((sum, { weight }) => sum + Math.round(weight * 1e9), 0);
        expect(units).toBe(play.path.length === 0 ? 0 : 5e9);
        expect(own.every(({ weight }) => weight > 0)).toBe(true);
      }
    }
  });

  it('has one discovery for each key with a qualified play, and no other', () => {
    for (const { plays, discoveries } of answers) {
      const qualified = new Set(plays.filter((play) => play.qualified).map(keyOf));
      expect(discoveries.map(keyOf).sort()).toEqual([...qualified].sort());
    }
  });

  it('does not look at the order of reading in batch, nor, beyond the offsets, in speed', () => {
    for (const log of worlds.slice(0, 500)) {
      const reversed: LogRecord[] = [...log].reverse();
      expect(oracle(reversed, 'batch')).toEqual(oracle(log, 'batch'));
      expect(oracle(reversed, 'speed')).toEqual(oracle(log, 'speed'));
      expect(speedLedger(reversed)).toEqual(speedLedger(log));
    }
  });

  it('balances the ledger', () => {
    for (const log of worlds) {
      const rows = speedLedger(log);
      for (const row of rows) expect(row.consumed).toBe(row.applied + row.duplicate + row.late + row.excluded);
      expect(rows.reduce((sum, { consumed }) => sum + consumed, 0)).toBe(log.length);
    }
  });
});

it('crowded worlds have paths that were cut', () => {
  const crowded = fc.sample(crowdedWorld, { numRuns: 100, seed: SEED });
  const cut = crowded.flatMap((log) => oracle(log, 'batch').plays).filter((play) => play.touches_omitted > 0);
  expect(cut.length).toBeGreaterThan(20);
  expect(cut.every((play) => play.path.length === 50)).toBe(true);
});

function keyOf(row: { profile_id: string; work_id: string }): string {
  return JSON.stringify([row.profile_id, row.work_id]);
}

/** In how many worlds each trait shows. */
function countTraits(worlds: readonly LogRecord[][]): Map<Trait, number> {
  const counts = new Map<Trait, number>();
  for (const log of worlds) {
    for (const trait of new Set([...traitsOfAnswers(log), ...traitsOfLog(log)]))
      counts.set(trait, (counts.get(trait) ?? 0) + 1);
  }
  return counts;
}
