/**
 * A backfill of 30 days over the same profiles, each with a full window of impressions behind it: seconds a day, which must not
 * grow with the days that are done: `npx tsx bench/backfill.ts [events a day]`. In one process, day by day as the workflow
 * commits them, with those between done that other workers would do beside.
 */

import fs from 'node:fs/promises';
import path from 'node:path';
import { defaultPolicy } from '../attribution/policy.ts';
import { utcDay } from '../attribution/time.ts';
import { beginAttempt } from '../batch/begin-attempt.ts';
import { commitAttempt } from '../batch/commit-attempt.ts';
import { computeUnit } from '../batch/compute-unit.ts';
import { createDatabase, startTestStack } from '../local/testing.ts';
import { silentLogger } from '../platform/log.ts';
import { openPool } from '../platform/postgres.ts';
import { openLocalStorage } from '../platform/storage.ts';
import { addSyntheticDays, profilesOf } from './synthetic-archive.ts';

const EVENTS = Number(process.argv[2] ?? 200_000);
const DAYS = 30;
const DAY = 86_400_000;
const FIRST = Date.UTC(2025, 10, 1);

const stack = await startTestStack({ services: ['postgres'] });
try {
  const databaseUrl = await createDatabase(stack.postgres.databaseUrl);
  const log = silentLogger();
  const pool = await openPool({ databaseUrl, applicationName: 'bench', log });
  const scratch = path.join(stack.directory, 'scratch');
  await fs.mkdir(scratch);
  const storage = await openLocalStorage(path.join(stack.directory, 'data'));
  const archived = Array.from({ length: 2 * DAYS }, (_, i) => ({
    begin: FIRST + (i - DAYS) * DAY,
    events: EVENTS,
    impressionsOnly: i < DAYS,
  }));
  await addSyntheticDays({ pool, storage, scratch, profiles: profilesOf(archived) }, archived);
  const deps = { pool, storage, policy: defaultPolicy, log, scratch };
  const days = archived.slice(DAYS).map(({ begin }) => utcDay(begin));
  const begun = performance.now();
  const { attempt, units } = await beginAttempt(deps, {
    days,
    cause: 'bench',
    actor: 'bench',
    owner: 'bench',
    byDay: true,
  });
  console.log(
    `begun in ${seconds(begun)} s: ${units} units of ${DAYS} days with ${EVENTS.toLocaleString('en')} events`,
  );
  const unitsADay = units / DAYS;
  for (const [i, day] of days.entries()) {
    const cpu = process.cpuUsage();
    const at = performance.now();
    for (let unit = i * unitsADay; unit < (i + 1) * unitsADay; unit++) await computeUnit(deps, attempt, unit);
    const computed = seconds(at);
    const { plays } = await commitAttempt(deps, attempt, { day });
    const { user, system } = process.cpuUsage(cpu);
    console.log(
      `${day}: ${plays.toLocaleString('en')} plays, ${seconds(at)} s (computed in ${computed} s), CPU ${((user + system) / 1e6).toFixed(1)} s`,
    );
  }
  await pool.end();
} finally {
  await stack.stop();
}

function seconds(since: number): string {
  return ((performance.now() - since) / 1000).toFixed(1);
}
