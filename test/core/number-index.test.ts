import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { NumberIndex } from '../../attribution/facts/number-index.ts';
import { runs } from './runs.ts';

/** Few hashes that share table, tag and place, and any others. */
const hash = fc.oneof(
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  fc.nat({ max: 3 }),
  fc.nat({ max: 7 }).map((low) => (low << 26) | 31),
  fc.nat({ max: 3 }).map((low) => 0x03fc0000 | (low * 32)),
);
const step = fc.record({ hash, remove: fc.nat({ max: 2 }).map((drawn) => drawn === 0), which: fc.nat() });

test('an index finds what was added and not removed, of whatever hash', () => {
  let removed = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400, size: 'max' }), (steps) => {
      const hashes: number[] = [];
      const held = new Set<number>();
      const index = new NumberIndex((number) => hashes[number]);
      for (const { hash: drawn, remove, which } of steps) {
        if (remove && held.size > 0) {
          const number = [...held][which % held.size];
          index.remove(hashes[number], number);
          held.delete(number);
          removed++;
        } else {
          const number = hashes.push(drawn) - 1;
          index.add(drawn, number);
          held.add(number);
        }
        const into: number[] = [];
        const count = index.find(drawn, into);
        const same = into.slice(0, count).filter((number) => hashes[number] === drawn);
        expect(same.toSorted((a, b) => a - b)).toEqual([...held].filter((number) => hashes[number] === drawn));
      }
    }),
    { numRuns: runs(200) },
  );
  expect(removed).toBeGreaterThan(runs(200));
});

test('an index grows with what it holds, to about seven bytes an entry', () => {
  const hashes = Array.from({ length: 100_000 }, (_, i) => Math.imul(i + 1, 0x9e3779b1) | 0);
  const index = new NumberIndex((number) => hashes[number]);
  hashes.forEach((each, number) => index.add(each, number));
  expect(index.footprint / hashes.length).toBeLessThan(14);
  const into: number[] = [];
  const found = (each: number) => {
    const count = index.find(each, into);
    return into.slice(0, count);
  };
  const missed = hashes.filter((each, number) => !found(each).includes(number));
  expect(missed).toEqual([]);
});
