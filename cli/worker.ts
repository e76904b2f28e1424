import fs from 'node:fs/promises';
import path from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { resolveAddresses } from '../local/addresses.ts';
import { createLogger } from '../platform/log.ts';
import { checkSchema } from '../platform/migrate.ts';
import { openPool } from '../platform/postgres.ts';
import { readSettings, secretsOf } from '../platform/settings.ts';
import { onShutdown } from '../platform/shutdown.ts';
import { openStorage } from '../platform/open-storage.ts';
import { startWorker } from '../worker/start-worker.ts';
import { installRuntime } from '../worker/temporal-log.ts';
import { metricsPortOption, openEyes, type EyesOptions } from './eyes.ts';
import { wholeNumberFrom } from './option-values.ts';
import { say } from './output.ts';
import { loadPolicy } from './policy.ts';

interface Options extends EyesOptions {
  concurrency: number;
  memory: string;
}

/** A worker that is frozen in the middle of a transaction gives its locks up: another may have its work by then. */
const FROZEN_AFTER_MS = 5 * 60_000;
/** Of an activity: its transaction, and what it looks up beside. */
const CONNECTIONS_AN_ACTIVITY = 2;

/** `whence worker`: a Temporal worker for the batch layer. */
export function workerCommand(): Command {
  return new Command('worker')
    .description(
      'a Temporal worker for the batch layer: reconciliations, backfills, datasets. Any number may run, on any machine that ' +
        'reaches Postgres, Temporal and the archive (WHENCE_DATA_DIR)',
    )
    .option('--concurrency <n>', 'so many pieces of work at once', wholeNumberFrom(1, 64), 2)
    .option('--memory <size>', 'what DuckDB may take for each; beyond that it spills to disk', memory, '2GB')
    .addOption(metricsPortOption())
    .action(run);
}

async function run(options: Options): Promise<void> {
  const settings = readSettings(process.env);
  const { databaseUrl, temporal } = await resolveAddresses(settings, ['postgres', 'temporal'], say);
  const policy = await loadPolicy(settings.policyFile);
  const log = createLogger({
    name: 'worker',
    level: settings.logLevel,
    secrets: secretsOf({ databaseUrl, temporal, s3: settings.s3 }),
  });
  const pool = await openPool({
    databaseUrl,
    applicationName: 'whence-worker',
    log,
    max: options.concurrency * CONNECTIONS_AN_ACTIVITY + 2,
    frozenAfterMs: FROZEN_AFTER_MS,
  });
  // By a name of its own: workers in several containers may share the folder, and have the same pids.
  const scratches = path.join(settings.dataDir, 'scratch');
  await fs.mkdir(scratches, { recursive: true });
  const scratch = await fs.mkdtemp(path.join(scratches, 'worker-'));
  try {
    await checkSchema(pool);
    const storage = await openStorage(settings);
    installRuntime(log);
    const worker = await startWorker({
      temporal,
      taskQueue: settings.taskQueue,
      deps: { pool, storage, policy, log, scratch, memoryLimit: options.memory, retention: settings.keep },
      concurrency: options.concurrency,
    });
    log.info({ taskQueue: settings.taskQueue, temporal: temporal.address, policy: policy.name }, 'ready for work');
    const sources = { name: 'worker', health: () => worker.health() };
    const eyes = await openEyes(options, settings, log, sources).catch(async (error: unknown) => {
      await worker.stop();
      throw error;
    });
    onShutdown(() => {
      log.info('stopping: what runs has some seconds to end');
      return worker.stop();
    });
    await worker.done.finally(() => void eyes.close());
    log.info('stopped');
  } finally {
    await fs.rm(scratch, { recursive: true, force: true });
    await pool.end();
  }
}

function memory(text: string): string {
  if (!/^\d+(\.\d+)?(MB|GB)$/.test(text)) throw new InvalidArgumentError('expected a size such as 2GB or 500MB');
  return text;
}
