import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MODEL_NAMES, weigh, WEIGHT_UNITS, type Model } from '../../attribution/models.ts';
import { DAY } from '../../attribution/time.ts';
import { BASE } from './samples.ts';
import { runs } from './runs.ts';

const positionBased: Model = { name: 'position_based', first: 0.4, last: 0.4 };
const weekly: Model = { name: 'time_decay', halfLife: 7 * DAY };

const share = fc.double({ min: 0, max: 1, noNaN: true });
const anyModel: fc.Arbitrary<Model> = fc.oneof(
  fc.constantFrom<Model[]>({ name: 'last_touch' }, { name: 'first_touch' }, { name: 'linear' }),
  fc
    .tuple(share, share)
    .filter(([first, last]) => first + last > 0 && first + last <= 1)
    .map(([first, last]): Model => ({ name: 'position_based', first, last })),
  fc.constantFrom(1, 1000, DAY, 7 * DAY, 1e15).map((halfLife): Model => ({ name: 'time_decay', halfLife })),
);
const ages = fc.oneof(fc.nat({ max: 10 }), fc.nat({ max: 30 * DAY }), fc.constantFrom(0, 7 * DAY, 30 * DAY));
const path = fc.array(ages, { maxLength: 1000 }).map((drawn) => drawn.sort((a, b) => b - a).map((age) => BASE - age));

/** A path of so many touches, a minute apart. */
function touches(count: number): number[] {
  return Array.from({ length: count }, (_, index) => BASE - (count - index) * 60_000);
}

/** In parts of one. */
function weights(model: Model, touchedAt: ArrayLike<number>): number[] {
  return weigh(model, touchedAt).map((units) => units / WEIGHT_UNITS);
}

test('there are five models, and weights are in units of 1e-9', () => {
  expect(MODEL_NAMES).toEqual(['last_touch', 'first_touch', 'linear', 'position_based', 'time_decay']);
  expect(WEIGHT_UNITS).toBe(1e9);
});

describe('the weights of any path by any model', () => {
  test('are one for each touch, whole units from 0, and sum to exactly 1', () => {
    fc.assert(
      fc.property(anyModel, path, (model, touchedAt) => {
        const units = weigh(model, touchedAt);
        expect(units).toHaveLength(touchedAt.length);
        for (const unit of units) {
          expect(Number.isInteger(unit) && unit >= 0 && !Object.is(unit, -0)).toBe(true);
        }
        const sum = units.reduce((total, unit) => total + unit, 0);
        expect(sum).toBe(touchedAt.length === 0 ? 0 : WEIGHT_UNITS);
      }),
      { numRuns: runs(1_000) },
    );
  });

  test('are the same for a typed array', () => {
    fc.assert(
      fc.property(anyModel, path, (model, touchedAt) => {
        expect(weigh(model, Float64Array.from(touchedAt))).toEqual(weigh(model, touchedAt));
      }),
    );
  });

  test('do not depend on when the path was, only on how far apart its touches are', () => {
    fc.assert(
      fc.property(anyModel, path, fc.integer({ min: -DAY, max: DAY }), (model, touchedAt, shift) => {
        const shifted = touchedAt.map((time) => time + shift);
        expect(weigh(model, shifted)).toEqual(weigh(model, touchedAt));
      }),
    );
  });

  test('of one touch are all of it', () => {
    fc.assert(
      fc.property(anyModel, (model) => {
        expect(weigh(model, [BASE])).toEqual([WEIGHT_UNITS]);
      }),
    );
  });
});

test('last touch gives all to the last, first touch to the first', () => {
  expect(weights({ name: 'last_touch' }, touches(3))).toEqual([0, 0, 1]);
  expect(weights({ name: 'first_touch' }, touches(3))).toEqual([1, 0, 0]);
});

test('linear gives all the same, and the rest of rounding to the last', () => {
  expect(weights({ name: 'linear' }, touches(4))).toEqual([0.25, 0.25, 0.25, 0.25]);
  expect(weigh({ name: 'linear' }, touches(3))).toEqual([333_333_333, 333_333_333, 333_333_334]);
  expect(weigh({ name: 'linear' }, touches(7)).slice(-2)).toEqual([142_857_143, 142_857_142]);
});

describe('position based', () => {
  test('gives 40 % to each end, and shares 20 % among those between', () => {
    expect(weights(positionBased, touches(3))).toEqual([0.4, 0.2, 0.4]);
    expect(weights(positionBased, touches(4))).toEqual([0.4, 0.1, 0.1, 0.4]);
    expect(weigh(positionBased, touches(5))).toEqual([400_000_000, 66_666_667, 66_666_667, 66_666_667, 399_999_999]);
  });

  test('gives two touches a half each, or what the ends have of each other', () => {
    expect(weights(positionBased, touches(2))).toEqual([0.5, 0.5]);
    expect(weights({ name: 'position_based', first: 0.2, last: 0.6 }, touches(2))).toEqual([0.25, 0.75]);
    expect(weights({ name: 'position_based', first: 0.3, last: 0 }, touches(2))).toEqual([1, 0]);
  });

  test('leaves nothing, and less than nothing to nobody, where the ends take it all', () => {
    expect(weigh({ name: 'position_based', first: 0.9, last: 0.1 }, touches(3))).toEqual([9e8, 0, 1e8]);
    const units = weigh({ name: 'position_based', first: 0.5, last: 0 }, touches(901));
    expect(Math.min(...units)).toBe(0);
    expect(units[0]).toBe(5e8);
    expect(units[1]).toBe(556_174);
    expect(units.at(-1)).toBe(0);
  });
});

describe('time decay', () => {
  test('halves the weight with each half-life', () => {
    expect(weights(weekly, [BASE - 7 * DAY, BASE])).toEqual([0.333333333, 0.666666667]);
    expect(weights(weekly, [BASE - 14 * DAY, BASE - 7 * DAY, BASE])).toEqual([0.142857143, 0.285714286, 0.571428571]);
  });

  test('gives touches of one time the same', () => {
    expect(weights(weekly, [BASE, BASE])).toEqual([0.5, 0.5]);
  });

  test('with a half-life of a millisecond gives all to the latest, however long the path', () => {
    expect(weights({ name: 'time_decay', halfLife: 1 }, touches(4))).toEqual([0, 0, 0, 1]);
    expect(weights({ name: 'time_decay', halfLife: 1 }, [BASE - 1, BASE])).toEqual([0.333333333, 0.666666667]);
    expect(weights({ name: 'time_decay', halfLife: 1 }, [0, BASE - 30 * DAY])).toEqual([0, 1]);
  });

  test('with an endless half-life is linear', () => {
    expect(weights({ name: 'time_decay', halfLife: Number.MAX_VALUE }, touches(4))).toEqual([0.25, 0.25, 0.25, 0.25]);
  });
});
