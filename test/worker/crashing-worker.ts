/**
 * A worker in a process that kills itself (SIGKILL) when an activity reaches a step, to be run as a child; with the step "none"
 * it lives on. It says which step it dies at on standard output first, so that a test can assert that the kill hit.
 */

import fs from 'node:fs';
import { defaultPolicy } from '../../attribution/policy.ts';
import { silentLogger } from '../../platform/log.ts';
import { openPool } from '../../platform/postgres.ts';
import { readSettings } from '../../platform/settings.ts';
import { openStorage } from '../../platform/open-storage.ts';
import { startWorker } from '../../worker/start-worker.ts';
import { installRuntime } from '../../worker/temporal-log.ts';

const [wanted] = process.argv.slice(2);
const settings = readSettings(process.env);
const { databaseUrl, dataDir, temporal, taskQueue } = settings;
const log = silentLogger();
installRuntime(log);

function dieAt(step: string): void {
  if (step !== wanted) return;
  fs.writeSync(1, `killed at: ${step}\n`);
  process.kill(process.pid, 'SIGKILL');
}

const worker = await startWorker({
  temporal: { ...temporal, address: temporal.address ?? '' },
  taskQueue,
  deps: {
    pool: await openPool({ databaseUrl: databaseUrl ?? '', applicationName: 'whence-crashing', log }),
    storage: await openStorage(settings),
    policy: defaultPolicy,
    log,
    scratch: dataDir,
  },
  concurrency: 2,
  steps: { unit: dieAt, commit: dieAt, shard: dieAt, publish: dieAt, prune: dieAt },
});
await worker.done;
