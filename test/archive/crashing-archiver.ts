/**
 * The archiver in a process that kills itself (SIGKILL) at a step of a commit, to be run as a child:
 *
 *     crashing-archiver.ts STEP NTH
 *
 * With the step "none" it lives on instead.
 * It says which step it dies at on standard output first, so that a test can assert that the kill hit.
 */

import fs from 'node:fs';
import { createKafka } from '../../platform/kafka.ts';
import { silentLogger } from '../../platform/log.ts';
import { openPool } from '../../platform/postgres.ts';
import { readSettings } from '../../platform/settings.ts';
import { openStorage } from '../../platform/open-storage.ts';
import { startArchiver } from '../../streaming/archiver.ts';

const [signal, step, nth] = process.argv.slice(2);
const settings = readSettings(process.env);
const log = silentLogger();
const brokers = settings.kafka.brokers ?? [];
let left = Number(nth);
const archiver = await startArchiver({
  ...settings,
  brokers,
  kafka: createKafka({ brokers, clientId: 'whence-crashing', log }),
  pool: await openPool({ databaseUrl: settings.databaseUrl ?? '', applicationName: 'whence-crashing', log }),
  storage: await openStorage(settings),
  log,
  roll: { rows: 400, ms: 500 },
  sessionTimeoutMs: 1_500,
  onStep: (reached) => {
    if (reached !== step || --left > 0) return;
    fs.writeSync(1, `${signal} at: ${reached}\n`);
    process.kill(process.pid, signal);
  },
});
if (step === 'none' || signal === 'SIGSTOP') {
  await archiver.done;
} else {
  await archiver.caughtUp();
  await archiver.stop();
  process.exit();
}
