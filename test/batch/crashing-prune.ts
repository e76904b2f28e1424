/**
 * Retention in a process that kills itself (SIGKILL) at a step, to be run as a child: `crashing-prune.ts STEP RETENTION`, the latter
 * as JSON. It says which step it dies at on standard output first, so that a test can assert that the kill hit.
 */

import fs from 'node:fs';
import { defaultPolicy } from '../../attribution/policy.ts';
import { prune } from '../../batch/retention/prune.ts';
import type { Retention } from '../../batch/retention/retention.ts';
import { silentLogger } from '../../platform/log.ts';
import { openStorage } from '../../platform/open-storage.ts';
import { openPool } from '../../platform/postgres.ts';
import { readSettings } from '../../platform/settings.ts';

const [wanted, retention] = process.argv.slice(2);
const settings = readSettings(process.env);
const log = silentLogger();
const pool = await openPool({ databaseUrl: settings.databaseUrl ?? '', applicationName: 'whence-crashing', log });
const deps = { pool, storage: await openStorage(settings), policy: defaultPolicy, log, scratch: settings.dataDir };
await prune(deps, {
  retention: JSON.parse(retention) as Retention,
  isRunning: () => Promise.resolve(false),
  onStep(step) {
    if (step !== wanted) return;
    fs.writeSync(1, `killed at: ${step}\n`);
    process.kill(process.pid, 'SIGKILL');
  },
});
await pool.end();
