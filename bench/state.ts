/**
 * One task of the speed layer without Kafka, in one process: `npx tsx bench/state.ts [events]`.
 *
 * The simulator's events are read into a `TaskState` as the stream does it, deltas are taken and committed to a real
 * Postgres. CPU seconds of this process (its garbage collector included) by the million events, by phase; `JSON.parse` of
 * the same records stands beside.
 */

import type { KafkaMessage } from 'kafkajs';
import { EventFields } from '../attribution/facts/event-fields.ts';
import { projectRecord } from '../attribution/project.ts';
import { defaultPolicy } from '../attribution/policy.ts';
import { registerPolicy } from '../merge/register-policy.ts';
import { createDatabase, startTestStack } from '../local/testing.ts';
import { silentLogger } from '../platform/log.ts';
import { openPool, pipelineBeside } from '../platform/postgres.ts';
import { RecordReader } from '../platform/record-reader.ts';
import { simulate } from '../simulator/simulate.ts';
import { commitDeltas } from '../streaming/commit.ts';
import { takeTask } from '../streaming/sql/take-task.ts';
import { TaskState } from '../streaming/task-state.ts';
import { messageOf } from './simulated.ts';

const EVENTS = Number(process.argv[2] ?? 650_000);
const DAYS = 2;
const PROFILES = Math.ceil(EVENTS / 76 / DAYS);
const COMMIT_RECORDS = 150_000;
const TOPICS = ['impressions', 'playback'];

/** All records in one piece of memory: objects of the bench itself would cost the collector more than what is measured. */
const bytes = Buffer.alloc(EVENTS * 600);
const ends: number[] = [];
const topics: number[] = [];
let used = 0;
for (const batch of simulate({ profiles: PROFILES, days: DAYS, seed: 1, from: Date.UTC(2025, 10, 1) }).batches) {
  for (const { line } of batch) {
    topics.push(TOPICS.indexOf(messageOf(line).topic));
    used += bytes.write(line, used);
    ends.push(used);
  }
}
const count = ends.length;
console.log(
  `${count.toLocaleString('en')} events, ${Math.round(used / count)} bytes each; CPU-s a million of this process`,
);

function message(index: number): KafkaMessage {
  const value = bytes.subarray(index === 0 ? 0 : ends[index - 1], ends[index]);
  return { key: null, value, offset: String(index), timestamp: '1790000000000', attributes: 0, headers: {} };
}

const stack = await startTestStack({ services: ['postgres'], brief: false });
try {
  const databaseUrl = await createDatabase(stack.postgres.databaseUrl);
  const pool = await openPool({ databaseUrl, applicationName: 'bench', log: silentLogger() });
  const pipeline = pipelineBeside(pool, silentLogger());
  const spent = new Map<string, number>();
  await phase('JSON.parse', () => {
    for (let i = 0; i < count; i++) {
      try {
        JSON.parse(message(i).value?.toString() ?? '');
      } catch {
        // Poison is part of the stream.
      }
    }
  });
  const fields = new EventFields();
  let plain = 0;
  await phase('projection', () => {
    const records = new RecordReader([]);
    for (let i = 0; i < count; i++) {
      records.add([message(i)]);
      if (records.next() && projectRecord(records, Infinity, fields)) plain++;
    }
  });
  console.log(`${((plain / count) * 100).toFixed(1)} % of them are plain`);
  const policy = defaultPolicy;
  await registerPolicy(pool, policy);
  const { epoch } = await takeTask(pool, 0, 0);
  const records = new RecordReader([]);
  const state = new TaskState(0, TOPICS, policy, {}, {});
  let offsets = {};
  for (let at = 0; at < count; at += COMMIT_RECORDS) {
    const end = Math.min(at + COMMIT_RECORDS, count);
    await phase('read', () => {
      for (let i = at; i < end; i++) {
        records.add([message(i)]);
        if (records.next()) state.read(topics[i], records, false);
      }
    });
    const delta = await phase('derive', () => state.takeDelta([false, false]));
    await phase('commit', () => commitDeltas({ pool, pipeline }, [{ task: 0, epoch, from: offsets, delta }]));
    await phase('evict', () => state.evict());
    offsets = delta.offsets;
  }
  await Promise.all([pool.end(), pipeline.end()]);
  for (const [name, cpu] of spent) console.log(`${name.padEnd(12)} ${((cpu / count) * 1e6).toFixed(2)}`);

  async function phase<T>(name: string, run: () => T | Promise<T>): Promise<T> {
    const before = process.cpuUsage();
    const result = await run();
    const { user, system } = process.cpuUsage(before);
    spent.set(name, (spent.get(name) ?? 0) + (user + system) / 1e6);
    return result;
  }
} finally {
  await stack.stop();
}
