import { Counter } from 'prom-client';
import { expect, test } from 'vitest';
import { createMetrics } from '../../platform/metrics.ts';

test('metrics of one registry are not those of another, and render as Prometheus reads them', async () => {
  const [one, other] = [createMetrics({ ofProcess: false }), createMetrics()];
  new Counter({ name: 'whence_plays_total', help: 'Plays', registers: [one.registry] }).inc(3);
  expect(await one.render()).toBe(
    '# HELP whence_plays_total Plays\n# TYPE whence_plays_total counter\nwhence_plays_total 3\n',
  );
  expect(await other.render()).toContain('process_resident_memory_bytes');
  expect(await other.render()).not.toContain('whence_plays_total');
});
