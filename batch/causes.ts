import type { DuckDBConnection } from '@duckdb/node-api';
import { asObjects, type ManifestFile } from '../archive/manifest.ts';
import { sqlText } from '../archive/sql-text.ts';
import type { Rules } from '../attribution/policy.ts';
import { parquet, rowsOf } from './engine.ts';
import { filesBetween, type Records } from './facts.ts';
import type { OpenDifference } from './sql/differences.ts';

/** What can be told from the raw records: that some came late, or that one is a copy. */
export type RawCause = 'late' | 'duplicate' | 'unexplained';

/**
 * Looks up, for plays in which the layers differ, whether among the facts that decide of them some were late by their log, or
 * are copies that only batch recognises. The table `copies` holds all copies, with their keys and times.
 *
 * @returns by play id
 */
export async function findCauses(
  engine: DuckDBConnection,
  records: Records,
  rules: Rules,
  open: readonly OpenDifference[],
): Promise<Map<string, RawCause>> {
  const before = Math.max(rules.discoveryWindow, rules.flagMemory) + rules.stitchingGap;
  const after = rules.stitchingGap;
  await engine.run(
    'create temp table open (play_id VARCHAR, profile_id VARCHAR, work_id VARCHAR, begins BIGINT, ends BIGINT)',
  );
  const appender = await engine.createAppender('open');
  for (const { play_id, profile_id, work_id, from_time, to_time } of open) {
    appender.appendVarchar(play_id);
    appender.appendVarchar(profile_id);
    appender.appendVarchar(work_id);
    appender.appendBigInt(BigInt(from_time - before));
    appender.appendBigInt(BigInt(to_time + after));
    appender.endRow();
  }
  appender.closeSync();
  const begin = Math.min(...open.map((each) => each.from_time)) - before;
  const end = Math.max(...open.map((each) => each.to_time)) + after;
  const ofKey = 'o.profile_id = r.profile_id and o.work_id = r.work_id and r.event_time between o.begins and o.ends';
  const late = await rowsOf<{ play_id: string }>(
    engine,
    `select distinct o.play_id
     from ${await clocked(records, begin, end)} r join open o on ${ofKey}
     where r.event_time + ${rules.allowedLateness} < r.clock`,
  );
  const copied = await rowsOf<{ play_id: string }>(
    engine,
    `select distinct o.play_id from ${await copiesBetween(records, begin, end)} r join open o on ${ofKey}`,
  );
  const isLate = new Set(late.map((row) => row.play_id));
  const isCopied = new Set(copied.map((row) => row.play_id));
  return new Map(
    open.map(({ play_id }) => [
      play_id,
      isLate.has(play_id) ? 'late' : isCopied.has(play_id) ? 'duplicate' : 'unexplained',
    ]),
  );
}

/** The records between two times with their log's clock: the greatest event time earlier in their topic-partition. */
async function clocked(records: Records, begin: number, end: number): Promise<string> {
  const files = filesBetween(records, begin, end);
  const bases = clocksBefore(records.files);
  const paths = await records.lease.take(asObjects(files));
  const values = files.map((file, i) => `(${sqlText(paths[i])}, ${finite(bases.get(file.path))})`);
  return `(
    select r.profile_id, r.work_id, r.event_time, greatest(b.base, max(r.event_time) over (
      partition by r.filename order by r."offset" rows between unbounded preceding and 1 preceding
    )) as clock, r.topic, r.partition, r.log, r."offset"
    from read_parquet([${paths.map(sqlText).join(', ')}], filename = true) r
    join (values ${values.join(', ')}) b (filename, base) using (filename)
    qualify (r.topic, r.partition, r.log, r."offset") not in (select (topic, partition, log, "offset") from copies)
  )`;
}

async function copiesBetween(records: Records, begin: number, end: number): Promise<string> {
  // Whoever reads facts leaves them out; here they are what is looked for.
  const paths = await records.lease.take(asObjects(filesBetween(records, begin, end)));
  return `(
    select profile_id, work_id, event_time from ${parquet(paths)}
    where (topic, partition, log, "offset") in (select (topic, partition, log, "offset") from copies)
  )`;
}

/** By path: the greatest event time in the files before it of the same log. */
function clocksBefore(files: readonly ManifestFile[]): Map<string, number> {
  const clocks = new Map<string, number>();
  const before = new Map<string, number>();
  // In the order of the manifest: by topic, partition, log and offset.
  for (const { path, topic, partition, log, maxEventTime } of files) {
    const name = `${topic}/${partition}/${log}`;
    const clock = clocks.get(name) ?? -Infinity;
    before.set(path, clock);
    clocks.set(name, Math.max(clock, maxEventTime ?? -Infinity));
  }
  return before;
}

function finite(time: number | undefined): string {
  return time === undefined || !Number.isFinite(time) ? 'NULL::BIGINT' : `${time}::BIGINT`;
}
