/**
 * The archiver over a real Kafka and Postgres: `npx tsx bench/archive.ts [events]`.
 *
 * Events of the simulator are sent once, then `whence archive --until-caught-up` reads them. CPU is of its process, Kafka's and
 * Postgres's apart; start-up is part of it.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { readFiles } from '../archive/manifest.ts';
import { createDatabase, startTestStack } from '../local/testing.ts';
import { createKafka, createProducer, createTopics, withAdmin } from '../platform/kafka.ts';
import { silentLogger } from '../platform/log.ts';
import { openPool } from '../platform/postgres.ts';
import { simulate } from '../simulator/simulate.ts';

const EVENTS = Number(process.argv[2] ?? 1_000_000);
const PARTITIONS = 6;
/** About 76 lines a profile and day. */
const DAYS = 2;
const PROFILES = Math.ceil(EVENTS / 76 / DAYS);
const TICKS_A_SECOND = 100;
const LAUNCHER = fileURLToPath(new URL('../cli/whence.js', import.meta.url));

const stack = await startTestStack({ services: ['postgres', 'kafka'], heapMb: 1024, brief: false });
try {
  const log = silentLogger();
  const kafka = createKafka({ brokers: stack.kafka.brokers, clientId: 'bench', log });
  await withAdmin(kafka, (admin) =>
    createTopics(
      admin,
      ['impressions', 'playback'].map((topic) => ({ topic, numPartitions: PARTITIONS })),
    ),
  );
  const sent = await send();
  const databaseUrl = await createDatabase(stack.postgres.databaseUrl);
  const begun = performance.now();
  const child = spawn(process.execPath, [LAUNCHER, 'archive', '--until-caught-up'], {
    env: {
      ...process.env,
      DATABASE_URL: databaseUrl,
      KAFKA_BROKERS: stack.kafka.brokers.join(','),
      WHENCE_DATA_DIR: path.join(stack.directory, 'data'),
      WHENCE_LOG_LEVEL: 'warn',
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  let cpu = 0;
  let peak = 0;
  const watch = setInterval(() => {
    try {
      const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8');
      const [user, system] = stat
        .slice(stat.lastIndexOf(')') + 2)
        .split(' ')
        .slice(11, 13);
      cpu = (Number(user) + Number(system)) / TICKS_A_SECOND;
      const [, kilobytes = '0'] = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8')) ?? [];
      peak = Math.max(peak, Number(kilobytes) / 1000);
    } catch {
      // It has just ended.
    }
  }, 50);
  const [code] = (await once(child, 'exit')) as [number];
  clearInterval(watch);
  if (code !== 0) throw new Error(`whence archive ended with exit code ${code}`);
  const seconds = (performance.now() - begun) / 1000;
  const pool = await openPool({ databaseUrl, applicationName: 'bench', log });
  const files = await readFiles(pool);
  await pool.end();
  const sum = (of: (file: (typeof files)[number]) => number) => files.reduce((total, file) => total + of(file), 0);
  const covered = sum(({ from, to }) => to - from);
  if (covered !== sent) throw new Error(`The archive covers ${covered} records of ${sent}`);
  const rows = sum((file) => file.rows);
  const number = (value: number) => Math.round(value).toLocaleString('en');
  console.log(
    `${number(sent)} records of ${number(PROFILES)} profiles over ${DAYS} days, ${number(rows)} of them valid`,
  );
  console.log(`  ${number(sent / seconds)} records/s, ${((cpu / sent) * 1e6).toFixed(1)} CPU-s a million`);
  console.log(
    `  peak ${number(peak)} MB; ${files.length} files, ${(sum((file) => file.bytes) / rows).toFixed(1)} bytes a row`,
  );

  async function send(): Promise<number> {
    const producer = createProducer(kafka, { idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    let count = 0;
    let topicMessages = empty();
    for (const batch of simulate({ profiles: PROFILES, days: DAYS, seed: 1, from: Date.UTC(2025, 10, 1) }).batches) {
      for (const { line } of batch) {
        const key = /"profile_id":"([^"]+)"/.exec(line)?.[1] ?? null;
        topicMessages[line.includes('"type":"playback"') ? 1 : 0].messages.push({ key, value: line });
        if (++count % 5_000 > 0) continue;
        await producer.sendBatch({ topicMessages });
        topicMessages = empty();
      }
    }
    await producer.sendBatch({ topicMessages });
    await producer.disconnect();
    return count;
  }

  function empty() {
    const messages = (): { key: string | null; value: string }[] => [];
    return [
      { topic: 'impressions', messages: messages() },
      { topic: 'playback', messages: messages() },
    ];
  }
} finally {
  await stack.stop();
}
