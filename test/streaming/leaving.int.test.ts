import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { defaultPolicy } from '../../attribution/policy.ts';
import { createDatabase, startTestStack, type TestStack } from '../../local/testing.ts';
import { createKafka } from '../../platform/kafka.ts';
import { silentLogger } from '../../platform/log.ts';
import { Outage } from '../../platform/outage.ts';
import { openPool, pipelineBeside, type Pool } from '../../platform/postgres.ts';
import { TaskSet } from '../../streaming/task-set.ts';

const TOPICS = ['impressions', 'playback'];
const NUMBERS = Array.from({ length: 40 }, (_, number) => number);

let stack: TestStack<'postgres'>;
let pool: Pool;
let pipeline: Pool;
beforeAll(async () => {
  stack = await startTestStack({ services: ['postgres'] });
});
afterAll(async () => {
  await stack.stop();
});

/** The tasks of a process that the group gives all of forty partitions; `away` is whether Kafka says nothing. */
async function assigned(away: () => boolean) {
  const log = silentLogger();
  const databaseUrl = await createDatabase(stack.postgres.databaseUrl);
  pool = await openPool({ databaseUrl, applicationName: 'test', log });
  pipeline = pipelineBeside(pool, log);
  // Never connected: whatever it is asked comes to nothing, as between a crash and its restart.
  const consumer = createKafka({ brokers: ['localhost:1'], clientId: 'test', log }).consumer({ groupId: 'none' });
  const bounds = () =>
    away() ? Promise.reject(Object.assign(new Error('away'), { code: 'ECONNREFUSED' })) : Promise.resolve(new Map());
  const options = { policy: defaultPolicy, pool, pipeline, log, outage: new Outage(log) };
  const tasks = new TaskSet(options, TOPICS, consumer, bounds);
  tasks.assign(Object.fromEntries(TOPICS.map((topic) => [topic, NUMBERS])));
  return tasks;
}

async function taken(): Promise<number> {
  const { rows } = await pool.query<{ n: number }>('select count(*)::int as n from whence.speed_tasks');
  return rows[0].n;
}

async function end(tasks: TaskSet): Promise<void> {
  tasks.abandon();
  await pipeline.end();
  await pool.end();
}

test('who is told to leave while it takes over takes one more at most', async () => {
  const tasks = await assigned(() => false);
  while ((await taken()) < 2) await sleep(1);
  await tasks.settle();
  const then = await taken();
  await sleep(500);
  // One may have been under way.
  expect(await taken()).toBeLessThanOrEqual(then + 1);
  expect(await taken()).toBeLessThan(NUMBERS.length);
  await end(tasks);
});

test('who is told to leave while a server is away takes nothing when it is back', async () => {
  let away = true;
  const tasks = await assigned(() => away);
  await sleep(100);
  await tasks.settle();
  away = false;
  // Longer than until it would be tried again.
  await sleep(1_500);
  expect(await taken()).toBe(0);
  await end(tasks);
});
