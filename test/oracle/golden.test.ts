import { describe, expect, it } from 'vitest';
import { type ComparableAnswer, compareToGolden, type GoldenCase, loadGolden, logOf } from './golden.ts';
import { oracle } from './oracle.ts';

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
  const threeTouches = caseNamed('three-touches');
  const golden: GoldenCase = {
    ...threeTouches,
    discoveries: oracle(logOf(threeTouches), 'batch').discoveries.map((row) => ({ ...row })),
  };
  const answer = oracle(logOf(golden), 'batch');
  const differences = (altered: Partial<ComparableAnswer>, against = golden) =>
    compareToGolden({ ...answer, ...altered }, against);

  it('none where nothing is altered', () => {
    expect(differences({})).toEqual([]);
    expect(golden.discoveries).toHaveLength(1);
  });

  it('in a column that the case states, and in no other', () => {
    expect(differences({ plays: each(answer.plays, { sod_impression_id: 'another' }) })).toEqual([
      expect.stringContaining('sod_impression_id is "another"'),
    ]);
    expect(differences({ plays: each(answer.plays, { device_type: 'another' }) })).toEqual([]);
  });

  it('in a column that must be null and is absent', () => {
    expect(differences({}, { ...golden, plays: each(golden.plays, { no_such_column: null }) })).toEqual([
      expect.stringContaining('no_such_column is undefined'),
    ]);
  });

  it('in a missing play', () => {
    expect(differences({ plays: [] })).toContainEqual(expect.stringMatching(/^play .*missing/));
  });

  it('in an extra play, and in one that is there twice', () => {
    const extra = each(answer.plays, { started_at: 1 });
    expect(differences({ plays: [...answer.plays, ...extra] })).toEqual([
      expect.stringMatching(/^play .*not expected/),
    ]);
    expect(differences({ plays: [...answer.plays, ...answer.plays] })).toContainEqual(
      expect.stringContaining('more than once'),
    );
  });

  it('in a weight, a touch, a missing touch and an unexpected credit', () => {
    const altered = (change: object) => differences({ credits: each(answer.credits, change) });
    expect(altered({ weight: 0.123 })).toContainEqual(expect.stringContaining('weight is 0.123'));
    expect(altered({ weight: Number.NaN })).toContainEqual(expect.stringContaining('weight is NaN'));
    expect(altered({ touched_at: 1 })).toContainEqual(expect.stringContaining('touched_at is 1'));
    expect(altered({ impression_id: 'x' })).toContainEqual(expect.stringContaining('impression_id is x'));
    expect(differences({ credits: [] })).toContainEqual(expect.stringContaining('0 touches, expected'));
    expect(differences({}, { ...golden, credits: [] })).toEqual([expect.stringContaining('expected none')]);
  });

  it('but not in how weights of zero are written, nor in less than 1e-9', () => {
    const zeros = each(answer.credits, { weight: 0, touch_index: 100 });
    const nearly = answer.credits.map((credit) => ({ ...credit, weight: credit.weight + 5e-10 }));
    expect(differences({ credits: [...zeros, ...nearly] })).toEqual([]);
  });

  it('in a discovery', () => {
    expect(differences({ discoveries: [] })).toEqual([expect.stringMatching(/^discovery .*missing/)]);
    expect(differences({ discoveries: each(answer.discoveries, { sod_surface: 'elsewhere' }) })).toEqual([
      expect.stringContaining('sod_surface is "elsewhere"'),
    ]);
  });
});

function each<Row extends object>(rows: readonly Row[], change: object): Row[] {
  return rows.map((row) => ({ ...row, ...change }));
}

function caseNamed(name: string): GoldenCase {
  const found = files.flatMap(({ cases }) => cases).find((golden) => golden.name === name);
  if (found === undefined) throw new Error(`no golden case ${name}`);
  return found;
}
