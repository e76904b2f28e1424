import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from '../platform/postgres.ts';
import { isVisible, streamProgress } from './demo-answers.ts';
import type { DemoProcesses } from './demo-processes.ts';
import { UsageError } from './failure.ts';
import { grouped, print } from './output.ts';

const FRESHNESS_BOUND_MS = 30_000;

/** Shows how far the stream is until it has read so many records: in a line that is written over, or in a log every few seconds. */
export async function watchStream(demo: DemoProcesses, pool: Pool, records: number): Promise<void> {
  const { isTTY } = process.stdout;
  for (let read = 0; read < records; await sleep(isTTY ? 200 : 2_000)) {
    if (!demo.areRunning()) throw new UsageError(`The stream or the worker has ended; see the logs in ${demo.dataDir}`);
    const now = await streamProgress(pool);
    if (now.records === read) continue;
    read = now.records;
    const line = `  ${grouped(read)} of ${grouped(records)} records read, ${grouped(now.plays)} plays attributed`;
    if (isTTY) process.stdout.write(`\r${line}`);
    else print(line);
  }
  if (isTTY) print('');
}

/** Sends a play of this moment, and says when it is there. */
export async function measureFreshness(demo: DemoProcesses, pool: Pool): Promise<string> {
  const now = Date.now();
  const profileId = `you-${now}`;
  const file = path.join(demo.dataDir, 'you.ndjson');
  fs.writeFileSync(
    file,
    eventsOf(profileId, now)
      .map((event) => `${JSON.stringify(event)}\n`)
      .join(''),
  );
  const visible = waitUntilVisible(pool, profileId);
  await demo.run(['send', file]);
  const sent = performance.now();
  const at = await visible;
  if (at === null) return `not in Postgres after half a minute; see ${demo.dataDir}/stream.log`;
  if (at < sent) return 'in Postgres before the command that sent it had ended';
  return `in Postgres ${((at - sent) / 1000).toFixed(1)} s after it was sent`;
}

function eventsOf(profile_id: string, now: number): object[] {
  const common = { profile_id, country: 'US', device_type: 'tv', title_id: '70143836' };
  const row = {
    page_view_id: 'v',
    page: 'home',
    row_type: 'top_picks',
    row_id: 'top_picks:1',
    row_rank: 1,
    position: 0,
  };
  return [
    { type: 'impression', event_id: 'seen', event_time: now - 2_000, ...row, ...common },
    { type: 'playback', action: 'start', event_id: 'started', event_time: now, playback_id: 'p', ...common },
  ];
}

/** @returns when the play of the profile could be seen */
async function waitUntilVisible(pool: Pool, profileId: string): Promise<number | null> {
  for (const begun = performance.now(); performance.now() - begun < FRESHNESS_BOUND_MS; await sleep(20)) {
    if (await isVisible(pool, profileId)) return performance.now();
  }
  return null;
}
