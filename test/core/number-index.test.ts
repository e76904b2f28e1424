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
const step = fc.record({ hash, what: fc.constantFrom('add', 'add', 'remove', 'replace'), which: fc.nat() });

test('an index finds what was added and not removed, of whatever hash', () => {
  let removed = 0;
  let replaced = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400, size: 'max' }), (steps) => {
      const hashes: number[] = [];
      const held = new Set<number>();
      const index = new NumberIndex();
      for (const { hash: drawn, what, which } of steps) {
        const number = [...held][which % held.size];
        if (what === 'remove' && held.size > 0) {
          index.remove(hashes[number], number);
          held.delete(number);
          removed++;
          expect(index.discard(hashes[number], number)).toBe(false);
          expect(() => index.remove(hashes[number], number)).toThrow(RangeError);
          expect(() => index.replace(hashes[number], number, hashes.length)).toThrow(RangeError);
        } else if (what === 'replace' && held.size > 0) {
          const later = hashes.push(hashes[number]) - 1;
          index.replace(hashes[number], number, later);
          held.delete(number);
          held.add(later);
          replaced++;
        } else {
          const number = hashes.push(drawn) - 1;
          index.add(drawn, number);
          held.add(number);
        }
        const into: number[] = [];
        const count = index.find(drawn, into);
        expect(into.slice(0, count).toSorted((a, b) => a - b)).toEqual(
          [...held].filter((number) => hashes[number] === drawn),
        );
      }
    }),
    { numRuns: runs(200) },
  );
  expect(removed).toBeGreaterThan(runs(200));
  expect(replaced).toBeGreaterThan(runs(200));
});

test('an index grows with what it holds, to about ten bytes an entry', () => {
  const hashes = Array.from({ length: 100_000 }, (_, i) => Math.imul(i + 1, 0x9e3779b1) | 0);
  const index = new NumberIndex();
  hashes.forEach((each, number) => index.add(each, number));
  expect(index.footprint / hashes.length).toBeLessThan(11);
  const into: number[] = [];
  const found = (each: number) => {
    const count = index.find(each, into);
    return into.slice(0, count);
  };
  const missed = hashes.filter((each, number) => !found(each).includes(number));
  expect(missed).toEqual([]);
});

test('an index grows a little at a time, and little more than it has entries', () => {
  const index = new NumberIndex();
  let moved = 0;
  for (let number = 0; number < 200_000; number++) {
    const before = index.footprint;
    index.add(Math.imul(number + 1, 0x9e3779b1), number);
    moved = Math.max(moved, index.footprint - before);
    if (number > 20_000) expect(index.footprint / number).toBeLessThan(11);
  }
  // Of one of its tables, a part.
  expect(moved).toBeLessThan(index.footprint / 100);
});

test('an index holds many under one hash, the last that there is included', () => {
  for (const hash of [0, 5, -1, 2 ** 31 - 1, -(2 ** 31)]) {
    const index = new NumberIndex();
    const numbers = Array.from({ length: 3_000 }, (_, i) => i * 3);
    for (const number of numbers) index.add(hash, number);
    index.add(hash, 2 ** 31 - 1);
    const into: number[] = [];
    const count = index.find(hash, into);
    expect(into.slice(0, count)).toEqual([...numbers, 2 ** 31 - 1]);
    for (const number of numbers) index.remove(hash, number);
    expect([index.find(hash, into), into[0]]).toEqual([1, 2 ** 31 - 1]);
  }
});

test('what is not there cannot be taken out', () => {
  const index = new NumberIndex();
  index.add(5, 1);
  expect(() => index.remove(5, 7)).toThrow('The index has no number 7 under the hash 5');
  expect(() => index.remove(6, 1)).toThrow(RangeError);
  expect(index.find(5, [])).toBe(1);
});
