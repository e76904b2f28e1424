/** One side of `bench/reconcile.ts`: prints what it took as JSON. */

import { DuckDBInstance } from '@duckdb/node-api';
import { asObjects, readFiles } from '../archive/manifest.ts';
import { sqlText } from '../archive/sql-text.ts';
import { defaultPolicy } from '../attribution/policy.ts';
import { beginAttempt } from '../batch/begin-attempt.ts';
import { commitAttempt } from '../batch/commit-attempt.ts';
import { computeUnit } from '../batch/compute-unit.ts';
import { silentLogger } from '../platform/log.ts';
import { openPool, type Pool } from '../platform/postgres.ts';
import { openLocalStorage, type Storage } from '../platform/storage.ts';

export type SideName = 'plain' | 'whence' | 'dirty';

/** What a side took, from the first query on: the start of the process is left out. */
export interface Side {
  plays: number;
  seconds: number;
  /** Seconds of the process, Postgres's not included. */
  cpu: number;
  peakMb: number;
  laps: string[];
}

const [, , what, databaseUrl, dataDir, scratch] = process.argv;
const DAY = '2025-11-24';
const pool = await openPool({ databaseUrl, applicationName: 'bench', log: silentLogger() });
const storage = await openLocalStorage(dataDir);
const begun = performance.now();
const begunCpu = process.cpuUsage();
const laps: string[] = [];
let last = begun;
let lastCpu = begunCpu;
const secondsOf = ({ user, system }: NodeJS.CpuUsage) => (user + system) / 1e6;
const peakMb = () => Math.round(process.resourceUsage().maxRSS / 1000);
/** Tells of a part that is over, with the peak until then. */
function lap(name: string): void {
  const now = performance.now();
  const cpu = secondsOf(process.cpuUsage(lastCpu));
  laps.push(`${name} ${((now - last) / 1000).toFixed(1)} s (CPU ${cpu.toFixed(1)}, ${peakMb()} MB)`);
  last = now;
  lastCpu = process.cpuUsage();
}
const plays = what === 'plain' ? await plain(pool, storage) : await reconcile(what === 'dirty' ? [] : [DAY]);
const side: Side = {
  plays,
  seconds: (performance.now() - begun) / 1000,
  cpu: secondsOf(process.cpuUsage(begunCpu)),
  peakMb: peakMb(),
  laps,
};
console.log(JSON.stringify(side));
await pool.end();

async function reconcile(days: string[]): Promise<number> {
  const deps = { pool, storage, policy: defaultPolicy, log: silentLogger(), scratch };
  const { attempt, units } = await beginAttempt(deps, { days, cause: 'bench', actor: 'bench', owner: 'bench' });
  lap('begin');
  for (let unit = 0; unit < units; unit++) {
    await computeUnit(deps, attempt, unit);
    lap(`unit ${unit}`);
  }
  const { plays, playsChanged } = await commitAttempt(deps, attempt);
  lap('commit');
  return days.length === 0 ? playsChanged : plays;
}

/** The last touch of each playback id in 30 days, and its watched time as so many heartbeats. */
async function plain(database: Pool, archive: Storage): Promise<number> {
  const files = (await archive.lend().take(asObjects(await readFiles(database)))).map(sqlText);
  const instance = await DuckDBInstance.create(':memory:', {
    threads: '2',
    memory_limit: '2GB',
    temp_directory: scratch,
  });
  const engine = await instance.connect();
  await database.query(
    `create table plain_plays (profile_id text, work_id text, playback_id text, started_at timestamptz, watched_ms bigint,
       row_type text, row_id text, row_rank integer, position integer, impression_id text)`,
  );
  const result = await engine.stream(
    `with plays as (
       select profile_id, work_id, playback_id, min(event_time) as t, count(*) * 60000 as watched_ms
       from read_parquet([${files.join(', ')}])
       where type = 'playback' and day = DATE '${DAY}' group by all
     ), seen as (
       select profile_id, work_id, event_time as t, row_type, row_id, row_rank, position, event_id
       from read_parquet([${files.join(', ')}])
       where type = 'impression' and row_type <> 'continue_watching' and day >= DATE '${DAY}' - 30
     )
     select p.profile_id, p.work_id, p.playback_id, p.t::DOUBLE, p.watched_ms::DOUBLE, s.row_type, s.row_id, s.row_rank,
       s.position, s.event_id
     from plays p asof left join seen s on s.profile_id = p.profile_id and s.work_id = p.work_id and s.t <= p.t`,
  );
  lap('query');
  let plays = 0;
  for await (const chunk of result) {
    const rows = chunk.getRows();
    plays += rows.length;
    await database.query(
      `insert into plain_plays
       select profile_id, work_id, playback_id, to_timestamp(t / 1000), watched_ms, row_type, row_id, row_rank, position, id
       from unnest($1::text[], $2::text[], $3::text[], $4::double precision[], $5::bigint[], $6::text[], $7::text[],
         $8::integer[], $9::integer[], $10::text[])
         u (profile_id, work_id, playback_id, t, watched_ms, row_type, row_id, row_rank, position, id)`,
      Array.from({ length: 10 }, (_, column) => rows.map((row) => row[column])),
    );
  }
  lap('read and write');
  engine.closeSync();
  instance.closeSync();
  return plays;
}
