import { execFileSync, spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import getPort from 'get-port';
import { expect, test } from 'vitest';
import { silentLogger } from '../../platform/log.ts';
import { addDeparted, createMetrics, renderTogether } from '../../platform/metrics.ts';
import { Outage } from '../../platform/outage.ts';
import { SpeedMetrics } from '../../streaming/speed-metrics.ts';
import { healthOfTasks, type TaskView, type TasksSeen } from '../../streaming/task-health.ts';
import { simulated, startStack, World } from './world.ts';

const NOW = 1_000_000;
const task: TaskView = {
  task: 3,
  topics: [{ topic: 'playback', committed: 90, stampedAt: NOW - 50_000, end: 100 }],
  watermark: null,
  recovering: false,
  pending: 10,
  facts: 0,
  factBytes: 0,
  progressAt: NOW - 42_000,
  failing: null,
  committingSince: null,
  checkpoint: null,
};
const seen: TasksSeen = {
  tasks: [task],
  untaken: [],
  begunAt: 0,
  assignedAt: 1,
  ends: { seenAt: NOW, fault: null },
  now: NOW,
};

test('a task with lag and no commit for a while is not healthy, and says how much waits', () => {
  expect(healthOfTasks(seen)).toEqual({
    healthy: false,
    ready: true,
    faults: [{ what: 'task 3', reason: 'nothing was read and committed for 42 s; 10 records are waiting' }],
  });
});

test('a task that waits for Postgres says so, since when and why', () => {
  const error = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
  const { faults } = healthOfTasks({ ...seen, tasks: [{ ...task, failing: { since: 0, error } }] });
  expect(faults[0].reason).toMatch(
    /^nothing could be committed for 42 s: Postgres is away since 1970-01-01T00:00:00.000Z \(connect ECONNREFUSED\); 10 records/,
  );
});

test('a task that has nothing to read is healthy however long nothing came, and so is one that commits', () => {
  const read = { ...task, topics: [{ ...task.topics[0], committed: 100 }] };
  const busy = { ...task, progressAt: NOW - 1_000 };
  expect(healthOfTasks({ ...seen, tasks: [read, busy] })).toEqual({ healthy: true, ready: true, faults: [] });
});

test('a Kafka that does not answer, and a group that gives nothing, are no idleness', () => {
  const ends = { seenAt: NOW - 60_000, fault: new Error('no broker') };
  const { faults, ready } = healthOfTasks({ ...seen, tasks: [], assignedAt: null, ends });
  expect(ready).toBe(false);
  expect(faults.map(({ what }) => what)).toEqual(['group', 'Kafka']);
});

test('counters of a process that is gone stay in the sum, and its gauges do not', async () => {
  const counted = async (tasks: number) => {
    const own = createMetrics({ ofProcess: false });
    const metrics = new SpeedMetrics(own.registry);
    metrics.watch(() => [task], new Outage(silentLogger()), { query: () => Promise.reject(new Error('not asked')) });
    for (let i = 0; i < tasks; i++) metrics.tookTask();
    return own.snapshot();
  };
  const departed = await addDeparted(await addDeparted([], await counted(2)), await counted(3));
  const text = await renderTogether([
    { process: 'departed', metrics: departed },
    { process: 'stream-1', metrics: await counted(4) },
  ]);
  expect(text).toContain('\nwhence_task_takeovers_total 9\n');
  expect(text).toContain('\nwhence_lag_records{topic="playback",partition="3"} 10\n');
});

test('two processes and their archiver show one set of metrics, which balances to the ledger and which promtool accepts', async () => {
  const stack = await startStack();
  try {
    const world = await World.create(stack, 'eyes', 2);
    const { lines } = simulated(20, 1, 5);
    await world.publish(lines);
    const port = await getPort();
    world.start('stream', '--processes', '2', '--metrics-port', String(port));
    const get = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`).catch(() => null);
      return { status: response?.status, text: (await response?.text()) ?? '' };
    };
    const records = (text: string) =>
      [...text.matchAll(/^whence_records_total\{.*\} (\d+)$/gm)].reduce((sum, [, n]) => sum + Number(n), 0);
    const archiver = /whence_archive_lag_records\{topic="playback-eyes",partition="1"\}/;
    let text = '';
    while (records(text) < lines.length || !archiver.test(text) || (await get('/readyz')).status !== 200) {
      await sleep(200);
      ({ text } = await get('/metrics'));
    }
    expect(records(text)).toBe(lines.length);
    const { rows } = await world.pool.query<{ n: number }>('select sum(consumed)::int as n from whence.ledger');
    expect(rows[0].n).toBe(lines.length);
    expect(text).toMatch(/process_resident_memory_bytes\{process="archive-1"\}/);
    const counts = /^whence_freshness_seconds_count (\d+)$/m.exec(text);
    expect(Number(counts?.[1])).toBeGreaterThan(0);
    const health = await get('/healthz');
    expect({ status: health.status, ...JSON.parse(health.text) }).toEqual({
      status: 200,
      healthy: true,
      ready: true,
      faults: [],
    });
    if (spawnSync('promtool', ['--version']).error === undefined) {
      expect(execFileSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' })).toBe('');
    }
    await world.end();
  } finally {
    await stack.stop();
  }
});
