/**
 * A day's reconciliation with a full window of impressions behind it: `npx tsx bench/reconcile.ts [events of the
 * day] [days behind] [events of each day behind, the same as of the day by default]`. The days behind were archived before: the
 * version that is current holds them and covers the last of them, as every morning.
 *
 * Beside it, in the same run: a plain DuckDB SQL that does much less (the last touch of each play and nothing else: no models,
 * stitching over devices, copies, audits or versions) over the same raw files, written into the same Postgres. Afterwards, in
 * the same database, late events of a thousandth of the day's plays: only their keys are computed again.
 *
 * All of it is done with a tenth of the events first: peak memory is to be the same.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { defaultPolicy } from '../attribution/policy.ts';
import { utcDay } from '../attribution/time.ts';
import { advance } from '../batch/advance-here.ts';
import { createDatabase, startTestStack } from '../local/testing.ts';
import { silentLogger } from '../platform/log.ts';
import { openPool } from '../platform/postgres.ts';
import { openLocalStorage } from '../platform/storage.ts';
import type { Side, SideName } from './reconcile-one.ts';
import { addLateEvents, addSyntheticDays, profilesOf } from './synthetic-archive.ts';

const EVENTS = Number(process.argv[2] ?? 1_000_000);
const BEHIND = Number(process.argv[3] ?? 30);
const EVENTS_BEHIND = Number(process.argv[4] ?? EVENTS);
const LAST = Date.UTC(2025, 10, 24);
const DAY = 86_400_000;

const stack = await startTestStack({ services: ['postgres'], brief: false });
try {
  const tenth = await measure(EVENTS / 10, EVENTS_BEHIND / 10);
  const all = await measure(EVENTS, EVENTS_BEHIND);
  const { plain, whence, dirty } = all;
  const ratio = (a: number, b: number) => (a / b).toFixed(2);
  console.log(
    `whence has ${ratio(plain.seconds, whence.seconds)} of the plain SQL's speed by the clock, ${ratio(plain.cpu, whence.cpu)} by CPU`,
  );
  console.log(
    `late events cost ${ratio(whence.seconds, dirty.seconds)} times less by the clock, ${ratio(whence.cpu, dirty.cpu)} by CPU`,
  );
  console.log(
    `with ten times the events, peak memory is ${ratio(whence.peakMb, tenth.whence.peakMb)} times as much; plain ${ratio(plain.peakMb, tenth.plain.peakMb)}`,
  );
} finally {
  await stack.stop();
}

async function measure(events: number, eventsBehind: number): Promise<Record<SideName, Side>> {
  const begun = performance.now();
  const databaseUrl = await createDatabase(stack.postgres.databaseUrl);
  const pool = await openPool({ databaseUrl, applicationName: 'bench', log: silentLogger() });
  const directory = path.join(stack.directory, `of-${events}`);
  const [dataDir, scratch] = ['data', 'scratch'].map((name) => path.join(directory, name));
  await fs.mkdir(scratch, { recursive: true });
  const storage = await openLocalStorage(dataDir);
  const days = Array.from({ length: BEHIND + 1 }, (_, i) => ({
    begin: LAST - (BEHIND - i) * DAY,
    events: i < BEHIND ? eventsBehind : events,
    impressionsOnly: i < BEHIND,
  }));
  const archive = { pool, storage, scratch, profiles: profilesOf(days) };
  await addSyntheticDays(archive, days.slice(0, BEHIND));
  const deps = { pool, storage, policy: defaultPolicy, log: silentLogger(), scratch };
  const before = { days: [utcDay(LAST - DAY)], cause: 'the day before', actor: 'bench', owner: 'bench' };
  if (BEHIND > 0) await advance(deps, before);
  await addSyntheticDays(archive, days.slice(BEHIND));
  const { rows } = await pool.query<{ rows: number }>('select sum(rows)::bigint as rows from whence.archive_files');
  console.log(
    `${events.toLocaleString('en')} events of the day, ${rows[0].rows.toLocaleString('en')} records in all, made in ` +
      `${((performance.now() - begun) / 1000).toFixed(0)} s`,
  );
  const plain = await run('plain', databaseUrl, dataDir, scratch);
  const whence = await run('whence', databaseUrl, dataDir, scratch);
  await addLateEvents(archive, days[BEHIND], 1000);
  const dirty = await run('dirty', databaseUrl, dataDir, scratch);
  await pool.end();
  await fs.rm(directory, { recursive: true });
  return { plain, whence, dirty };
}

/** Each in a process of its own, so that peak memory is its own. */
async function run(what: SideName, databaseUrl: string, dataDir: string, scratch: string): Promise<Side> {
  const script = fileURLToPath(new URL('reconcile-one.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', script, what, databaseUrl, dataDir, scratch], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit') as Promise<[number]>]);
  if (code !== 0) throw new Error(`${what} ended with exit code ${code}`);
  const side = JSON.parse(output) as Side;
  console.log(
    `${what.padEnd(7)} ${side.plays.toLocaleString('en')} plays in ${side.seconds.toFixed(1)} s, CPU ${side.cpu.toFixed(1)} s, ` +
      `peak ${side.peakMb} MB\n        ${side.laps.join(', ')}`,
  );
  return side;
}
