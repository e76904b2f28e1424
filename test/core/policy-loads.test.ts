import { expect, test } from 'vitest';

// Imported within the test: a fault in the rules of a policy file would else fail no test, but the loading of all.
test('the default policy keeps the rules of a policy file, so the core can be loaded', async () => {
  const { defaultPolicy } = await import('../../attribution/policy.ts');
  expect(defaultPolicy.rules.speed.stitchingGap).toBe(30 * 60_000);
});
