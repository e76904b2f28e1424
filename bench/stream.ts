/**
 * The speed layer over a real Kafka and Postgres: `npx tsx bench/stream.ts [events]`.
 *
 * Events of the simulator are sent once; then, over the same log, in the same run: kafkajs `eachBatch` with `JSON.parse`
 * alone (what reading costs with it as it comes; once more at the end), and `whence stream --until-caught-up` with one
 * process and with two, each into a database of its own. CPU is of all processes of whence; Kafka's and Postgres's stand
 * beside.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createDatabase, startTestStack } from '../local/testing.ts';
import { createKafka, createProducer } from '../platform/kafka.ts';
import { silentLogger } from '../platform/log.ts';
import { openPool } from '../platform/postgres.ts';
import { simulate } from '../simulator/simulate.ts';
import { childrenOf, cpuOf, cpuOfEnded, residentMb, safely, stolenCpu } from './processes.ts';
import { messageOf, sendAll, type SimulatedMessage } from './simulated.ts';
import { createStreamTopics } from './topics.ts';

const EVENTS = Number(process.argv[2] ?? 1_000_000);
/** About 76 lines a profile and day. */
const DAYS = 2;
const PROFILES = Math.ceil(EVENTS / 76 / DAYS);
/** Looking takes CPU from what is looked at: every 50 ms it was a tenth of a core. */
const LOOK_MS = 500;
const LAUNCHER = fileURLToPath(new URL('../cli/whence.js', import.meta.url));

interface Run {
  seconds: number;
  cpu: number;
  /** Of the largest process, MB. */
  peak: number;
  /** CPU seconds that others of the host had meanwhile. */
  stolen: number;
}

/** Runs a command to its end and measures it and its children. */
async function measure(args: string[], env: NodeJS.ProcessEnv): Promise<Run> {
  const begun = process.hrtime.bigint();
  const profile = process.env.BENCH_NODE_ARGUMENTS?.split(' ').filter(Boolean) ?? [];
  const child = spawn('/usr/bin/env', [process.execPath, ...profile, ...args], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  let peak = 0;
  const before = cpuOfEnded();
  const stolenBefore = stolenCpu();
  const watch = setInterval(() => {
    for (const pid of [child.pid ?? 0, ...childrenOf(child.pid ?? 0)]) {
      peak = Math.max(
        peak,
        safely(() => residentMb(pid, 'VmHWM')),
      );
    }
  }, LOOK_MS);
  const [code] = (await once(child, 'exit')) as [number];
  clearInterval(watch);
  if (code !== 0) throw new Error(`${args.join(' ')} ended with exit code ${code}`);
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
  return { seconds, cpu: cpuOfEnded() - before, peak, stolen: stolenCpu() - stolenBefore };
}

const stack = await startTestStack({ services: ['postgres', 'kafka'], heapMb: 1024, brief: false });
try {
  const log = silentLogger();
  const kafka = createKafka({ brokers: stack.kafka.brokers, clientId: 'bench', log });
  await createStreamTopics(kafka);
  const sent = await send();
  console.log(`${sent.toLocaleString('en')} events of ${PROFILES.toLocaleString('en')} profiles over ${DAYS} days`);
  console.log(`${''.padEnd(34)} events/s   CPU-s/M   peak MB   Postgres CPU-s/M   Kafka CPU-s/M   stolen CPU-s/M`);
  const plain = new URL('stream-plain.ts', import.meta.url);
  const base = { ...process.env, KAFKA_BROKERS: stack.kafka.brokers.join(','), WHENCE_LOG_LEVEL: 'warn' };
  const reportPlain = () =>
    report('kafkajs eachBatch + JSON.parse', ['--import', 'tsx', fileURLToPath(plain), String(sent)], base);
  await reportPlain();
  for (const processes of [1, 2]) {
    const env = { ...base, DATABASE_URL: await createDatabase(stack.postgres.databaseUrl) };
    const args = [LAUNCHER, 'stream', '--no-archive', '--until-caught-up', '--processes', String(processes)];
    await report(`whence stream, ${processes} process(es)`, args, env);
    const pool = await openPool({ databaseUrl: env.DATABASE_URL, applicationName: 'bench', log });
    const { rows } = await pool.query('select sum(consumed)::int as n from whence.ledger');
    await pool.end();
    if (rows[0].n !== sent) throw new Error(`The ledger has ${rows[0].n} records of ${sent}`);
  }
  // A machine may get slower or faster meanwhile: what stands between is to be held against both.
  await reportPlain();

  async function report(what: string, args: string[], env: NodeJS.ProcessEnv): Promise<void> {
    const pids = [stack.postgres.runnable, stack.kafka.runnable].map((r) => ('pid' in r ? r.pid : 0));
    const before = pids.map((pid) => safely(() => cpuOf(pid)));
    const run = await measure(args, env);
    const [postgres, broker] = pids.map((pid, i) => safely(() => cpuOf(pid)) - before[i]);
    const perMillion = (cpu: number) => ((cpu / sent) * 1e6).toFixed(1);
    console.log(
      `${what.padEnd(34)} ${Math.round(sent / run.seconds)
        .toLocaleString('en')
        .padStart(8)} ` +
        `${perMillion(run.cpu).padStart(9)} ${run.peak.toFixed(0).padStart(9)} ${perMillion(postgres).padStart(18)} ` +
        `${perMillion(broker).padStart(15)} ${perMillion(run.stolen).padStart(16)}`,
    );
  }

  async function send(): Promise<number> {
    const producer = createProducer(kafka, { idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    let count = 0;
    let messages: SimulatedMessage[] = [];
    const flush = async () => {
      await sendAll(producer, messages);
      messages = [];
    };
    for (const batch of simulate({ profiles: PROFILES, days: DAYS, seed: 1, from: Date.UTC(2025, 10, 1) }).batches) {
      for (const { line } of batch) {
        messages.push(messageOf(line));
        if (++count % 5_000 === 0) await flush();
      }
    }
    await flush();
    await producer.disconnect();
    return count;
  }
} finally {
  await stack.stop();
}
