import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    globalSetup: ['test/fetch-servers.ts'],
    testTimeout: 240_000,
    hookTimeout: 120_000,
  },
});
