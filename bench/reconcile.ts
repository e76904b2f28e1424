/**
 * A day's reconciliation with a full window of impressions behind it: `npx tsx bench/reconcile.ts [events of the
 * day] [days behind] [events of each day behind, the same as of the day by default]`. The days behind were archived before: the
 * version that is current holds them and covers the last of them, as every morning.
 *
 * Beside it, in the same run: a plain DuckDB SQL that does much less (the last touch of each play and nothing else: no models,
 * stitching over devices, copies, audits or versions) over the same raw files, written into the same Postgres. Afterwards, in
 * the same database, late events of a thousandth of the day's plays: only their keys are computed again.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultPolicy } from '../attribution/policy.ts';
import { utcDay } from '../attribution/time.ts';
import { advance } from '../batch/advance-here.ts';
import { createDatabase, startTestStack } from '../local/testing.ts';
import { silentLogger } from '../platform/log.ts';
import { openPool } from '../platform/postgres.ts';
import { openLocalStorage } from '../platform/storage.ts';
import { addLateEvents, addSyntheticDays, profilesOf } from './synthetic-archive.ts';

const EVENTS = Number(process.argv[2] ?? 1_000_000);
const BEHIND = Number(process.argv[3] ?? 30);
const EVENTS_BEHIND = Number(process.argv[4] ?? EVENTS);
const LAST = Date.UTC(2025, 10, 24);
const DAY = 86_400_000;

const stack = await startTestStack({ services: ['postgres'], brief: false });
try {
  const databaseUrl = await createDatabase(stack.postgres.databaseUrl);
  const pool = await openPool({ databaseUrl, applicationName: 'bench', log: silentLogger() });
  const dataDir = path.join(stack.directory, 'data');
  const scratch = path.join(stack.directory, 'scratch');
  await fs.mkdir(scratch);
  const storage = await openLocalStorage(dataDir);
  const days = Array.from({ length: BEHIND + 1 }, (_, i) => ({
    begin: LAST - (BEHIND - i) * DAY,
    events: i < BEHIND ? EVENTS_BEHIND : EVENTS,
    impressionsOnly: i < BEHIND,
  }));
  const archive = { pool, storage, scratch, profiles: profilesOf(days) };
  await addSyntheticDays(archive, days.slice(0, BEHIND));
  const deps = { pool, storage, policy: defaultPolicy, log: silentLogger(), scratch };
  const before = { days: [utcDay(LAST - DAY)], cause: 'the day before', actor: 'bench', owner: 'bench' };
  if (BEHIND > 0) await advance(deps, before);
  await addSyntheticDays(archive, days.slice(BEHIND));
  for (const what of ['plain', 'whence']) await run(what, databaseUrl, dataDir, scratch);
  await addLateEvents(archive, days[BEHIND], 1000);
  await run('dirty', databaseUrl, dataDir, scratch);
  await pool.end();
} finally {
  await stack.stop();
}

/** Each in a process of its own, so that peak memory is its own. */
async function run(what: string, databaseUrl: string, dataDir: string, scratch: string): Promise<void> {
  const script = fileURLToPath(new URL('reconcile-one.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', script, what, databaseUrl, dataDir, scratch], {
    stdio: 'inherit',
  });
  const [code] = (await once(child, 'exit')) as [number];
  if (code !== 0) throw new Error(`${what} ended with exit code ${code}`);
}
