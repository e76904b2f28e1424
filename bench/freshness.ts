/**
 * From the sending of a play's first event to its row in Postgres, at a steady rate: `npx tsx bench/freshness.ts [plays] [events a second]`.
 *
 * `whence stream` runs as a process of its own; events of a home page's kind are sent at an even pace (three impressions to one
 * playback event), and among them the plays that are waited for, one at a time. Beside it, as the limit, under the same load:
 * kafkajs that writes a bare row for each playback event and nothing else.
 */

import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Producer } from 'kafkajs';
import { createDatabase, startTestStack } from '../local/testing.ts';
import { createKafka, createProducer } from '../platform/kafka.ts';
import { silentLogger } from '../platform/log.ts';
import { openPool, type Pool, prepared } from '../platform/postgres.ts';
import { playback } from '../test/core/samples.ts';
import { messagesOf } from '../test/records.ts';
import { cpuOf, safely } from './processes.ts';
import { SteadyLoad } from './steady-load.ts';
import { createStreamTopics } from './topics.ts';

const PLAYS = Number(process.argv[2] ?? 300);
const RATE = Number(process.argv[3] ?? 5_000);
const WARM_UP_MS = 10_000;

const stack = await startTestStack({ services: ['postgres', 'kafka'], heapMb: 1024, brief: false });
try {
  const log = silentLogger();
  const kafka = createKafka({ brokers: stack.kafka.brokers, clientId: 'bench', log });
  await createStreamTopics(kafka);
  const databaseUrl = await createDatabase(stack.postgres.databaseUrl);
  const pool = await openPool({ databaseUrl, applicationName: 'bench', log });
  const producer = createProducer(kafka);
  await producer.connect();
  console.log(
    `${RATE.toLocaleString('en')} events a second; of the time from sending a play's first event to its row:`,
  );

  const env = { ...process.env, KAFKA_BROKERS: stack.kafka.brokers.join(','), DATABASE_URL: databaseUrl };
  const launcher = fileURLToPath(new URL('../cli/whence.js', import.meta.url));
  const stream = spawn(process.execPath, [launcher, 'stream', '--no-archive'], {
    env: { ...env, WHENCE_DATA_DIR: stack.directory, WHENCE_LOG_LEVEL: 'warn' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  await measure('whence stream', stream.pid ?? 0, 'select from whence.plays where profile_id = $1');
  stream.kill('SIGTERM');
  await once(stream, 'exit');

  await pool.query('create table bare (profile_id text, event text)');
  await pool.query('create index on bare (profile_id)');
  const consumer = kafka.consumer({ groupId: 'bare', maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topics: ['playback'], fromBeginning: false });
  await consumer.run({
    partitionsConsumedConcurrently: 6,
    eachBatch: async ({ batch }) => {
      const messages = [...messagesOf(batch.messages)];
      const columns = [messages.map(({ key }) => String(key)), messages.map(({ value }) => String(value))];
      await pool.query('insert into bare select * from unnest($1::text[], $2::text[])', columns);
    },
  });
  await measure('bare rows by kafkajs', null, 'select from bare where profile_id = $1');
  await consumer.disconnect();
  await producer.disconnect();
  await pool.end();

  /** @param pid whose CPU is told of */
  async function measure(what: string, pid: number | null, seen: string): Promise<void> {
    const load = new SteadyLoad(producer, RATE);
    await sleep(WARM_UP_MS);
    const cpu = () => (pid === null ? 0 : safely(() => cpuOf(pid)));
    const [before, sent, begun] = [cpu(), load.sent, Date.now()];
    const took = await probe(producer, pool, seen);
    const spent = cpu() - before;
    const events = load.sent - sent;
    const rate = events / ((Date.now() - begun) / 1000);
    await load.stop();
    const at = (share: number) => `${took[Math.floor(took.length * share)].toFixed(0)} ms`;
    console.log(
      `${what}: p50 ${at(0.5)}, p90 ${at(0.9)}, p99 ${at(0.99)}, of ${took.length} plays; ` +
        `${Math.round(rate).toLocaleString('en')} events/s${pid === null ? '' : `, ${((spent / events) * 1e6).toFixed(0)} CPU-s a million`}`,
    );
  }
} finally {
  await stack.stop();
}
// kafkajs can keep a process alive that left its group.
process.exit();

/** Plays that begin one after the other. @returns how long each took, milliseconds, the shortest first */
async function probe(producer: Producer, pool: Pool, seen: string): Promise<number[]> {
  const took: number[] = [];
  for (let i = 0; i < PLAYS; i++) {
    const profile_id = randomUUID();
    const event = playback({ event_id: randomUUID(), playback_id: `b${i}`, profile_id, event_time: Date.now() });
    const began = performance.now();
    await producer.send({
      topic: 'playback',
      acks: 1,
      messages: [{ key: profile_id, value: JSON.stringify(event) }],
    });
    // Planned once: looking must not take the time that is measured.
    while ((await pool.query(prepared(seen, [profile_id]))).rowCount === 0) await sleep(2);
    took.push(performance.now() - began);
    await sleep(20);
  }
  return took.toSorted((a, b) => a - b);
}
