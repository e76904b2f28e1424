import path from 'node:path';
import { Command } from 'commander';
import { resolveAddresses, type Addresses } from '../local/addresses.ts';
import { checkKafka, createKafka } from '../platform/kafka.ts';
import { createLogger, type Logger } from '../platform/log.ts';
import { HEALTHY } from '../platform/health.ts';
import { createMetrics } from '../platform/metrics.ts';
import { checkSchema } from '../platform/migrate.ts';
import { Outage } from '../platform/outage.ts';
import { openPool } from '../platform/postgres.ts';
import { openStorage } from '../platform/open-storage.ts';
import { ROOT } from '../platform/root.ts';
import { readSettings, secretsOf, type Settings } from '../platform/settings.ts';
import { onShutdown } from '../platform/shutdown.ts';
import { metricsPortOption, openEyes, type EyesOptions } from './eyes.ts';
import { wholeNumberFrom } from './option-values.ts';
import { loadPolicy } from './policy.ts';
import { readTotals, summarize } from './stream-summary.ts';
import { waitUntilCaughtUp } from '../streaming/caught-up.ts';
import { Processes } from '../streaming/processes.ts';
import { startSpeedLayer } from '../streaming/speed-layer.ts';
import { SpeedMetrics } from '../streaming/speed-metrics.ts';
import { fetchBounds, findTopics } from '../streaming/topics.ts';

interface Options extends EyesOptions {
  processes: number;
  untilCaughtUp?: true;
  acceptDataLoss?: true;
  archive: boolean;
}

const CONNECTIONS = 8;
/** Shorter than the session in the Kafka group: when others take the tasks of a frozen process, their rows are free. */
const FROZEN_AFTER_MS = 5_000;

/** One archiver keeps up with about two processes of the speed layer. */
const STREAMS_AN_ARCHIVER = 2;
const UNTIL = ['--until-caught-up'];
const LAUNCHER = path.join(ROOT, 'cli', 'whence.js');

/** `whence stream`: the speed layer, and the archiver in processes of its own. */
export function streamCommand(): Command {
  return new Command('stream')
    .description('attribute plays as events come: reads Kafka, writes Postgres, correct after any restart')
    .option('--processes <n>', 'how many processes share the partitions', wholeNumberFrom(1, 64), 1)
    .option('--until-caught-up', 'end, all committed, once everything that was there at the start is read')
    .option('--no-archive', 'attribute only: "whence archive" runs elsewhere, or events are not to be kept')
    .option('--accept-data-loss', 'where Kafka no longer holds what was to be read, go on with what it holds')
    .addOption(metricsPortOption())
    .action(run);
}

async function run(options: Options): Promise<void> {
  const settings = readSettings(process.env);
  // A process that another stream started leaves the words to it.
  const say = process.connected ? () => {} : (line: string) => console.error(line);
  const addresses = await resolveAddresses(settings, ['postgres', 'kafka'], say);
  await (options.processes > 1
    ? runProcesses(options, settings, addresses, say)
    : runHere(options, settings, addresses, say));
  // kafkajs can keep a process alive that left its group in the middle of a rebalance. All is committed and closed by now.
  setTimeout(() => process.exit(), 3_000).unref();
}

type Needed = Pick<Addresses, 'databaseUrl' | 'kafka'>;

type Say = (line: string) => void;

async function runHere(options: Options, settings: Settings, addresses: Needed, say: Say): Promise<void> {
  const { log, kafkaOptions, pool, policy } = await open(settings, addresses);
  const outage = new Outage(log);
  try {
    const before = await readTotals(pool);
    const metrics = createMetrics();
    const layer = await startSpeedLayer({
      ...settings,
      brokers: addresses.kafka.brokers,
      kafka: createKafka({ ...kafkaOptions, outage }),
      outage,
      pool,
      policy,
      log,
      acceptDataLoss: options.acceptDataLoss,
      metrics: new SpeedMetrics(metrics.registry),
      checkpoints: await openCheckpoints(settings, log),
    });
    const archivers = startArchivers(options, addresses, log);
    const archived = archivers?.done;
    const stop = async () => void (await Promise.all([layer.stop(), archivers?.stop()]));
    const sources = { name: 'stream', metrics, health: () => layer.health(), processes: [archivers] };
    const eyes = await openEyes(options, settings, log, sources).catch((error: unknown) => endBy(error, stop));
    onShutdown(stop);
    // A parent that started several of us and is gone wants none of us any more.
    process.once('disconnect', () => void stop());
    try {
      if (options.untilCaughtUp) await Promise.all([layer.caughtUp(), archived]);
      else await Promise.race([layer.done, archived ?? layer.done]);
    } finally {
      // Whichever ends, ends the other.
      await stop();
      await eyes.close();
    }
    await Promise.all([layer.done, archived]);
    summarize(before, await readTotals(pool)).forEach(say);
  } finally {
    if (process.connected) process.disconnect();
    await pool.end();
  }
}

async function runProcesses(options: Options, settings: Settings, addresses: Needed, say: Say): Promise<void> {
  const { log, kafkaOptions, pool } = await open(settings, addresses);
  const admin = createKafka(kafkaOptions).admin();
  try {
    const before = await readTotals(pool);
    await admin.connect();
    const topics = await findTopics(admin, { ...settings, brokers: addresses.kafka.brokers });
    const targets = await fetchBounds(admin, topics.names);
    const processes = new Processes({
      count: options.processes,
      command: [process.execPath, LAUNCHER, 'stream', '--no-archive', ...lossOf(options)],
      env: environmentOf(addresses),
      log,
    });
    const archivers = startArchivers(options, addresses, log);
    const archived = archivers?.done;
    const stop = async () => void (await Promise.all([processes.stop(), archivers?.stop()]));
    const sources = { name: 'parent', health: () => HEALTHY, processes: [processes, archivers] };
    const eyes = await openEyes(options, settings, log, sources).catch((error: unknown) => endBy(error, stop));
    onShutdown(stop);
    const ended = new AbortController();
    try {
      if (options.untilCaughtUp) {
        const streamed = Promise.race([waitUntilCaughtUp(pool, targets, ended.signal), processes.done]);
        await Promise.all([streamed, archived]);
      } else {
        await Promise.race([processes.done, archived ?? processes.done]);
      }
    } finally {
      ended.abort();
      await stop();
      await eyes.close();
    }
    await Promise.all([processes.done, archived]);
    summarize(before, await readTotals(pool)).forEach(say);
  } finally {
    await admin.disconnect();
    await pool.end();
  }
}

/** The archiver beside us: in processes of its own, so that writing files takes no time from answers. */
function startArchivers(options: Options, addresses: Needed, log: Logger): Processes | null {
  if (!options.archive) return null;
  return new Processes({
    count: Math.ceil(options.processes / STREAMS_AN_ARCHIVER),
    command: [process.execPath, LAUNCHER, 'archive', ...(options.untilCaughtUp ? UNTIL : []), ...lossOf(options)],
    env: environmentOf(addresses),
    log,
    what: 'the archiver',
    name: 'archive',
    endByThemselves: options.untilCaughtUp,
  });
}

/** What was begun must not outlive the error. */
async function endBy(error: unknown, stop: () => Promise<void>): Promise<never> {
  await stop();
  throw error;
}

/** Without a place for checkpoints the stream runs all the same: a restart reads the log again. */
async function openCheckpoints(settings: Settings, log: Logger) {
  try {
    return { storage: await openStorage(settings), everyMs: settings.checkpointSeconds * 1_000 };
  } catch (error) {
    log.warn({ err: error }, 'no checkpoints are written: their storage cannot be used');
    return undefined;
  }
}

function lossOf(options: Options): string[] {
  return options.acceptDataLoss ? ['--accept-data-loss'] : [];
}

/** The addresses that were found here, for processes that are not to look for them again. */
function environmentOf(addresses: Needed): NodeJS.ProcessEnv {
  const { WHENCE_METRICS_PORT: _ours, ...env } = process.env;
  return { ...env, DATABASE_URL: addresses.databaseUrl, KAFKA_BROKERS: addresses.kafka.brokers.join(',') };
}

async function open(settings: Settings, addresses: Needed) {
  const log = createLogger({ name: 'stream', level: settings.logLevel, secrets: secretsOf(settings) });
  const pool = await openPool({
    databaseUrl: addresses.databaseUrl,
    applicationName: 'whence-stream',
    log,
    max: CONNECTIONS,
    frozenAfterMs: FROZEN_AFTER_MS,
  });
  try {
    const kafkaOptions = { ...addresses.kafka, clientId: 'whence-stream', log };
    const policy = await loadPolicy(settings.policyFile);
    await checkSchema(pool);
    await checkKafka(kafkaOptions);
    return { log, pool, kafkaOptions, policy };
  } catch (error) {
    await pool.end();
    throw error;
  }
}
