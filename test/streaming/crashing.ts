/**
 * The speed layer in a process that kills itself (SIGKILL) at a step of a commit, a checkpoint or a recovery, to be
 * run as a child:
 *
 *     crashing.ts STEP
 *     crashing.ts STEP NTH
 *     crashing.ts
 *
 * With a step alone it ends once it has caught up; otherwise it goes on until it dies, or until SIGTERM.
 * It says which step it dies at on standard output first, so that a test can assert that the kill hit.
 */

import fs from 'node:fs';
import { defaultPolicy } from '../../attribution/policy.ts';
import { createKafka } from '../../platform/kafka.ts';
import { silentLogger } from '../../platform/log.ts';
import { openPool } from '../../platform/postgres.ts';
import { readSettings } from '../../platform/settings.ts';
import { openLocalStorage } from '../../platform/storage.ts';
import { startSpeedLayer } from '../../streaming/speed-layer.ts';

const [step, nth] = process.argv.slice(2);
const settings = readSettings(process.env);
const log = silentLogger();
const brokers = settings.kafka.brokers ?? [];
const pool = await openPool({
  databaseUrl: settings.databaseUrl ?? '',
  applicationName: 'whence-crashing',
  log,
  // As `whence stream` has it: who is frozen inside a commit has locked its task.
  frozenAfterMs: 5_000,
});
let left = Number(nth ?? 1);
const layer = await startSpeedLayer({
  ...settings,
  brokers,
  kafka: createKafka({ brokers, clientId: 'whence-crashing', log }),
  pool,
  policy: defaultPolicy,
  log,
  sessionTimeoutMs: 1_500,
  // One after each commit.
  checkpoints: { storage: await openLocalStorage(settings.dataDir), everyMs: 0 },
  onStep: (reached) => {
    if (reached !== step || --left > 0) return;
    fs.writeSync(1, `dying at: ${reached}\n`);
    process.kill(process.pid, 'SIGKILL');
  },
});
if (step === undefined || nth !== undefined) {
  process.once('SIGTERM', () => void layer.stop());
  await layer.done;
} else {
  await layer.caughtUp();
  await layer.stop();
}
await pool.end();
// kafkajs can keep a process alive that left its group.
process.exit();
