import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    globalSetup: ['test/fetch-servers.ts'],
    setupFiles: ['test/seed-properties.ts'],
    testTimeout: 600_000,
    hookTimeout: 300_000,
  },
});
