/**
 * A replay of dead letters in a process that kills itself (SIGKILL) at a step, to be run as a child:
 *
 *     crashing-replay.ts STEP
 *
 * It says which step it dies at on standard output first, so that a test can assert that the kill hit.
 */

import fs from 'node:fs';
import { createKafka } from '../../platform/kafka.ts';
import { silentLogger } from '../../platform/log.ts';
import { openPool } from '../../platform/postgres.ts';
import { readSettings } from '../../platform/settings.ts';
import { replayDeadLetters } from '../../send/replay.ts';

const [step] = process.argv.slice(2);
const settings = readSettings(process.env);
const log = silentLogger();
const pool = await openPool({ databaseUrl: settings.databaseUrl ?? '', applicationName: 'whence-crashing', log });
const kafka = createKafka({ brokers: settings.kafka.brokers ?? [], clientId: 'whence-crashing', log });
await replayDeadLetters(pool, kafka, { notReplayed: true }, (reached) => {
  if (reached !== step) return;
  fs.writeSync(1, `dying at: ${reached}\n`);
  process.kill(process.pid, 'SIGKILL');
});
await pool.end();
