import { Command, InvalidArgumentError } from 'commander';
import { resolveAddresses } from '../local/addresses.ts';
import { createKafka } from '../platform/kafka.ts';
import { createLogger } from '../platform/log.ts';
import { checkSchema } from '../platform/migrate.ts';
import { Outage } from '../platform/outage.ts';
import { openPool } from '../platform/postgres.ts';
import { readSettings, secretsOf } from '../platform/settings.ts';
import { onShutdown } from '../platform/shutdown.ts';
import { createMetrics } from '../platform/metrics.ts';
import { ArchiveMetrics } from '../streaming/archive-metrics.ts';
import { openStorage } from '../platform/open-storage.ts';
import { ROLL_LIMITS, startArchiver } from '../streaming/archiver.ts';
import { metricsPortOption, openEyes, type EyesOptions } from './eyes.ts';

interface Options extends EyesOptions {
  untilCaughtUp?: true;
  acceptDataLoss?: true;
  rollSeconds: number;
}

const CONNECTIONS = 8;

/** `whence archive`: the archiver. */
export function archiveCommand(): Command {
  return new Command('archive')
    .description('keep every valid event for good: Kafka to Parquet files in WHENCE_DATA_DIR, each record exactly once')
    .option('--until-caught-up', 'end, all archived, once everything that was there at the start is read')
    .option('--roll-seconds <n>', 'write a file at the latest this long after its first record', seconds, 300)
    .option('--accept-data-loss', 'where Kafka no longer holds what was to be read, go on with what it holds')
    .addOption(metricsPortOption())
    .addHelpText('after', `\nA file is also written at ${ROLL_LIMITS.rows.toLocaleString('en')} records.`)
    .action(run);
}

async function run(options: Options): Promise<void> {
  const settings = readSettings(process.env);
  const addresses = await resolveAddresses(settings, ['postgres', 'kafka'], (line) => {
    // A stream that started us has said it.
    if (!process.connected) console.error(line);
  });
  const log = createLogger({ name: 'archive', level: settings.logLevel, secrets: secretsOf(settings) });
  const { databaseUrl } = addresses;
  const pool = await openPool({ databaseUrl, applicationName: 'whence-archive', log, max: CONNECTIONS });
  try {
    await checkSchema(pool);
    const metrics = createMetrics();
    const outage = new Outage(log);
    const archiver = await startArchiver({
      ...settings,
      brokers: addresses.kafka.brokers,
      kafka: createKafka({ ...addresses.kafka, clientId: 'whence-archive', log, outage }),
      outage,
      pool,
      storage: await openStorage(settings),
      log,
      acceptDataLoss: options.acceptDataLoss,
      roll: { ms: options.rollSeconds * 1000 },
      metrics: new ArchiveMetrics(metrics.registry),
    });
    const sources = { name: 'archive', metrics, health: () => archiver.health() };
    const eyes = await openEyes(options, settings, log, sources).catch(async (error: unknown) => {
      await archiver.stop();
      throw error;
    });
    onShutdown(() => archiver.stop());
    // A stream that started us and is gone does not want us any more.
    process.once('disconnect', () => void archiver.stop());
    if (options.untilCaughtUp) {
      await archiver.caughtUp();
      await archiver.stop();
    }
    await archiver.done.finally(() => void eyes.close());
  } finally {
    if (process.connected) process.disconnect();
    await pool.end();
  }
  // kafkajs can keep a process alive that left its group in the middle of a rebalance. All is committed and closed by now.
  setTimeout(() => process.exit(), 3_000).unref();
}

function seconds(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0 || value > 86_400) throw new InvalidArgumentError('expected 1 to 86400');
  return value;
}
