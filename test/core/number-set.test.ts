import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { NumberSet } from '../../attribution/facts/number-set.ts';

test('a number is new once, of whatever size', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.nat({ max: 20 }), fc.nat({ max: 1_000_000 })), { maxLength: 100 }), (numbers) => {
      const set = new NumberSet();
      const added = numbers.map((number) => set.add(number));
      expect(added).toEqual(numbers.map((number, i) => numbers.indexOf(number) === i));
    }),
  );
});
