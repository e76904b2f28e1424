/**
 * The speed layer at a steady rate: `npx tsx bench/soak.ts [minutes] [events a second]`.
 *
 * The simulator's events of two and a half days are sent at an even pace, so that event time runs some hundred times as fast as
 * the clock, facts grow old, and memory must become flat. What the processes of `whence stream` hold is said each minute.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../local/ports.ts';
import { createDatabase, startTestStack } from '../local/testing.ts';
import { createKafka, createProducer } from '../platform/kafka.ts';
import { silentLogger } from '../platform/log.ts';
import { simulate } from '../simulator/simulate.ts';
import { childrenOf, cpuOf, residentMb, safely } from './processes.ts';
import { messageOf, sendAll, type SimulatedMessage } from './simulated.ts';
import { createStreamTopics } from './topics.ts';

const MINUTES = Number(process.argv[2] ?? 10);
const RATE = Number(process.argv[3] ?? 2_000);
const DAYS = 2.5;
const PROFILES = Math.ceil((RATE * MINUTES * 60) / 76 / DAYS);
const PIECE_MS = 250;

const stack = await startTestStack({ services: ['postgres', 'kafka'], heapMb: 1024, brief: false });
try {
  const kafka = createKafka({ brokers: stack.kafka.brokers, clientId: 'bench', log: silentLogger() });
  await createStreamTopics(kafka);
  const port = await freePort();
  const launcher = fileURLToPath(new URL('../cli/whence.js', import.meta.url));
  const stream = spawn(process.execPath, [launcher, 'stream', '--processes', '2', '--metrics-port', String(port)], {
    env: {
      ...process.env,
      KAFKA_BROKERS: stack.kafka.brokers.join(','),
      DATABASE_URL: await createDatabase(stack.postgres.databaseUrl),
      WHENCE_DATA_DIR: stack.directory,
      WHENCE_LOG_LEVEL: 'warn',
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const producer = createProducer(kafka);
  await producer.connect();
  console.log(`${RATE} events a second of ${PROFILES} profiles for ${MINUTES} minutes`);
  console.log('minute   sent       MB of all processes   CPU-s/M   facts held   lag, records');
  const begun = Date.now();
  let sent = 0;
  let minute = 0;
  let messages: SimulatedMessage[] = [];
  const simulation = simulate({ profiles: PROFILES, days: Math.ceil(DAYS), seed: 5, from: Date.UTC(2025, 10, 1) });
  outer: for (const batch of simulation.batches) {
    for (const { line } of batch) {
      messages.push(messageOf(line));
      if (messages.length < (RATE * PIECE_MS) / 1000) continue;
      await send();
      await sleep(Math.max(0, begun + (sent / RATE) * 1000 - Date.now()));
      if (Date.now() >= begun + (minute + 1) * 60_000) await say(++minute);
      if (minute === MINUTES) break outer;
    }
  }
  stream.kill('SIGTERM');
  await once(stream, 'exit');
  await producer.disconnect();

  async function send(): Promise<void> {
    await sendAll(producer, messages);
    sent += messages.length;
    messages = [];
  }

  async function say(after: number): Promise<void> {
    const pid = stream.pid ?? 0;
    const memory = [pid, ...childrenOf(pid)].map((each) => safely(() => residentMb(each, 'VmRSS')));
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const sum = (name: string) =>
      [...metrics.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))].reduce(
        (all, m) => all + Number(m[1]),
        0,
      );
    console.log(
      [
        String(after).padStart(6),
        sent.toLocaleString('en').padStart(10),
        memory
          .reduce((all, each) => all + each, 0)
          .toFixed(0)
          .padStart(22),
        ((cpuOf(pid) / sent) * 1e6).toFixed(1).padStart(9),
        sum('whence_facts').toLocaleString('en').padStart(12),
        sum('whence_lag_records').toLocaleString('en').padStart(14),
      ].join(' '),
    );
  }
} finally {
  await stack.stop();
}
