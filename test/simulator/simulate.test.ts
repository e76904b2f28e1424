import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { simulate, type SimulationOptions } from '../../simulator/simulate.ts';

const OPTIONS: SimulationOptions = { profiles: 120, days: 2, seed: 1, from: Date.UTC(2025, 5, 1) };

function fingerprint(options: SimulationOptions): { lines: string; ledger: string } {
  const simulation = simulate(options);
  const hash = createHash('sha256');
  for (const batch of simulation.batches) for (const { line } of batch) hash.update(`${line}\n`);
  return { lines: hash.digest('hex'), ledger: JSON.stringify(simulation.ledger()) };
}

/** Deliveries still to come after the last tick of the range. */
function tail(days: number): number {
  const simulation = simulate({ ...OPTIONS, days });
  let tick = 0;
  let lines = 0;
  for (const batch of simulation.batches) if (tick++ >= simulation.ticks) lines += batch.length;
  return lines;
}

test('the same seed and options give the same bytes and the same ledger', () => {
  expect(fingerprint(OPTIONS)).toEqual(fingerprint(OPTIONS));
});

test.each([
  ['another seed', { seed: 2 }],
  ['a seed that differs in its upper half alone', { seed: 1 + 2 ** 32 }],
  ['another number of profiles', { profiles: 121 }],
  ['another first day', { from: Date.UTC(2025, 5, 2) }],
])('%s gives other bytes', (_, change) => {
  expect(fingerprint({ ...OPTIONS, ...change }).lines).not.toBe(fingerprint(OPTIONS).lines);
});

test('the stream comes in delivery order', () => {
  let last = 0;
  for (const batch of simulate(OPTIONS).batches) {
    for (const { at } of batch) {
      expect(at).toBeGreaterThanOrEqual(last);
      last = at;
    }
  }
});

test('what waits in memory does not grow with the number of days', () => {
  expect(tail(12)).toBeLessThan(4 * tail(3) + 100);
});

test('one profile on one day is enough', () => {
  expect(() => fingerprint({ ...OPTIONS, profiles: 1, days: 1 })).not.toThrow();
});
