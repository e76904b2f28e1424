/** Compaction in a process that kills itself (SIGKILL) at a step, to be run as a child; as crashing-prune.ts. */

import fs from 'node:fs';
import { defaultPolicy } from '../../attribution/policy.ts';
import { compactArchive } from '../../batch/retention/compact.ts';
import { silentLogger } from '../../platform/log.ts';
import { openStorage } from '../../platform/open-storage.ts';
import { openPool } from '../../platform/postgres.ts';
import { readSettings } from '../../platform/settings.ts';

const [wanted] = process.argv.slice(2);
const settings = readSettings(process.env);
const log = silentLogger();
const pool = await openPool({ databaseUrl: settings.databaseUrl ?? '', applicationName: 'whence-crashing', log });
const deps = { pool, storage: await openStorage(settings), policy: defaultPolicy, log, scratch: settings.dataDir };
await compactArchive(deps, {
  onStep(step) {
    if (step !== wanted) return;
    fs.writeSync(1, `killed at: ${step}\n`);
    process.kill(process.pid, 'SIGKILL');
  },
});
await pool.end();
