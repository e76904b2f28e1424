import { defineConfig } from 'vitest/config';
import { ServersFirst } from './test/servers-first.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // Each file has servers of its own, and much of its time waits for them: two keep two cores busy.
    maxWorkers: 2,
    sequence: { sequencer: ServersFirst },
    globalSetup: ['test/fetch-servers.ts'],
    setupFiles: ['test/seed-properties.ts'],
    testTimeout: 600_000,
    hookTimeout: 300_000,
  },
});
