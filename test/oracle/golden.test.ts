import { describe, expect, it } from 'vitest';
import { type ComparableAnswer, compareToGolden, type GoldenCase, loadGolden, logOf } from './golden.ts';
import { oracle } from './oracle.ts';
import type { OracleAnswer } from './types.ts';

const files = loadGolden();

for (const { file, cases } of files) {
  describe(`the oracle meets ${file}`, () => {
    for (const golden of cases) {
      it(golden.name, () => {
        expect(compareToGolden(oracle(logOf(golden), golden.mode), golden)).toEqual([]);
      });
    }
  });
}

it('loads every golden case, each with a name of its own', () => {
  const names = files.flatMap(({ cases }) => cases.map(({ name }) => name));
  expect(names.length).toBeGreaterThanOrEqual(74);
  expect(new Set(names).size).toBe(names.length);
});

describe('compareToGolden sees a difference', () => {
  const golden = caseNamed('three-touches');
  const [expectedPlay] = golden.plays;
  const withDiscoveries: GoldenCase = {
    ...golden,
    discoveries: oracle(logOf(golden), golden.mode).discoveries.map((row) => ({ ...row })),
  };
  const differences = (alter: (answer: OracleAnswer) => ComparableAnswer, against: GoldenCase = withDiscoveries) =>
    compareToGolden(alter(structuredClone(oracle(logOf(against), against.mode))), against);

  it('none where nothing is altered', () => {
    expect(differences((answer) => answer)).toEqual([]);
    expect(withDiscoveries.discoveries).toHaveLength(1);
  });

  it('in a column that the case states, and in no other', () => {
    const altered = (column: string) => (answer: OracleAnswer) => ({
      ...answer,
      plays: answer.plays.map((play) => ({ ...play, [column]: 'another' })),
    });
    expect(differences(altered('sod_impression_id'))).toEqual([
      expect.stringContaining('sod_impression_id is "another"'),
    ]);
    expect(differences(altered('device_type'))).toEqual([]);
  });

  it('in a column that must be null and is absent', () => {
    const stated = { ...golden, plays: golden.plays.map((play) => ({ ...play, no_such_column: null })) };
    expect(differences((answer) => answer, stated)).toEqual([expect.stringContaining('no_such_column is undefined')]);
  });

  it('in a missing play', () => {
    expect(differences((answer) => ({ ...answer, plays: [] }))).toContainEqual(
      expect.stringMatching(/^play .*missing/),
    );
  });

  it('in an extra play, and in one that is there twice', () => {
    const extra = { profile_id: 'p1', work_id: 'm1', started_at: (expectedPlay?.started_at ?? 0) + 1 };
    expect(differences((answer) => ({ ...answer, plays: [...answer.plays, extra] }))).toEqual([
      expect.stringMatching(/^play .*not expected/),
    ]);
    expect(differences((answer) => ({ ...answer, plays: [...answer.plays, ...answer.plays] }))).toContainEqual(
      expect.stringContaining('more than once'),
    );
  });

  it('in a weight, a touch, a missing touch and an unexpected credit', () => {
    const altered = (change: Partial<OracleAnswer['credits'][number]>) => (answer: OracleAnswer) => ({
      ...answer,
      credits: answer.credits.map((credit) => ({ ...credit, ...change })),
    });
    expect(differences(altered({ weight: 0.123 }))).toContainEqual(expect.stringContaining('weight is 0.123'));
    expect(differences(altered({ weight: Number.NaN }))).toContainEqual(expect.stringContaining('weight is NaN'));
    expect(differences(altered({ touched_at: 1 }))).toContainEqual(expect.stringContaining('touched_at is 1'));
    expect(differences(altered({ impression_id: 'x' }))).toContainEqual(expect.stringContaining('impression_id is x'));
    expect(differences((answer) => ({ ...answer, credits: answer.credits.slice(1) }))).not.toEqual([]);
    expect(differences((answer) => answer, { ...golden, credits: [] })).toEqual([
      expect.stringContaining('expected none'),
    ]);
  });

  it('but not in how weights of zero are written, nor in less than 1e-9', () => {
    const zeros = (answer: OracleAnswer) => ({
      ...answer,
      credits: [
        ...answer.credits.map((credit) => ({ ...credit, weight: credit.weight + 5e-10 })),
        ...answer.credits.map((credit) => ({ ...credit, touch_index: credit.touch_index + 100, weight: 0 })),
      ],
    });
    expect(differences(zeros)).toEqual([]);
  });

  it('in a discovery', () => {
    expect(differences((answer) => ({ ...answer, discoveries: [] }))).toEqual([
      expect.stringMatching(/^discovery .*missing/),
    ]);
    const altered = (answer: OracleAnswer) => ({
      ...answer,
      discoveries: answer.discoveries.map((row) => ({ ...row, sod_surface: 'elsewhere' })),
    });
    expect(differences(altered)).toEqual([expect.stringContaining('sod_surface is "elsewhere"')]);
  });
});

function caseNamed(name: string): GoldenCase {
  const found = files.flatMap(({ cases }) => cases).find((golden) => golden.name === name);
  if (found === undefined) throw new Error(`no golden case ${name}`);
  return found;
}
