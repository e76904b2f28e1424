import { defineConfig } from 'vitest/config';

/** For mutation testing: the tests of the core alone, with few runs of each property. */
export default defineConfig({
  test: {
    include: ['test/core/**/*.test.ts', 'test/oracle/golden.test.ts'],
    env: { WHENCE_PROPERTY_RUNS: '60' },
    testTimeout: 20_000,
  },
});
