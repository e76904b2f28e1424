import type { DuckDBConnection } from '@duckdb/node-api';
import { asObjects, type ManifestFile } from '../archive/manifest.ts';
import type { Rules } from '../attribution/policy.ts';
import { DAY, utcDay } from '../attribution/time.ts';
import type { Lease } from '../platform/storage.ts';
import { parquet, PLACE, rowsOf } from './engine.ts';
import { columnsOfFacts, columnsOfImpressions, FACT_ORDER, FactChunk, KeyRows } from './key-rows.ts';

/** Where a unit's records are. */
export interface Records {
  files: readonly ManifestFile[];
  /** Lends them as files of this machine. */
  lease: Lease;
  /** The unit's buckets, both ends included. */
  from: number;
  to: number;
  /** Of few keys: SQL that is true of their records, and of few others. */
  only?: string;
  /** Of few keys: the times of which the table `records_of_keys` holds their records, both ends included. */
  taken?: { begin: number; end: number };
}

/**
 * The unit's records with an event between two times, copies left out, as a relation; null where no file has any. The table
 * `copies` holds the places of the unit's copies.
 */
export async function recordsBetween(records: Records, begin: number, end: number): Promise<string | null> {
  const { taken, lease, from, to, only = 'true' } = records;
  if (taken !== undefined && taken.begin <= begin && end <= taken.end) {
    return `(select * from records_of_keys where event_time between ${begin} and ${end})`;
  }
  const files = filesBetween(records, begin, end);
  if (files.length === 0) return null;
  const [firstDay, lastDay] = [begin, end].map((time) => `DATE '${utcDay(Math.max(0, time))}'`);
  return `(
    select * from ${parquet(await lease.take(asObjects(files)))}
    where ${only} and bucket between ${from} and ${to} and day between ${firstDay} and ${lastDay}
      and event_time between ${begin} and ${end} and (${PLACE}) not in (select (${PLACE}) from copies)
  )`;
}

/** Those of the files that may have an event between two times. */
export function filesBetween({ files }: Pick<Records, 'files'>, begin: number, end: number): ManifestFile[] {
  return files.filter((file) => (file.minEventTime ?? Infinity) <= end && (file.maxEventTime ?? -Infinity) >= begin);
}

/** Loads the places of the unit's copies. */
export async function loadCopies(engine: DuckDBConnection, known: readonly string[], records: Records): Promise<void> {
  const { lease, from, to } = records;
  const source =
    known.length === 0
      ? `(select ''::VARCHAR as topic, 0 as partition, 0 as log, 0::BIGINT as "offset", 0 as bucket where false)`
      : parquet(await lease.take(known.map((key) => ({ key }))));
  await engine.run(`create temp table copies as select ${PLACE} from ${source} where bucket between ${from} and ${to}`);
}

/** How far around the times asked for playback events are looked up at first; chains that go on are followed further. */
export const FIRST_LOOK = DAY;

/**
 * Finds the chains of playback events that touch the keys' times: of the table `keys` (key, profile_id, work_id, lo, hi; times in
 * epoch milliseconds), makes the table `chains` (key, profile_id, work_id, lo, hi, first, last), where first and last are those of the
 * first and the last playback event that is connected to the times by gaps of at most a stitching gap, counted or not,
 * however far it is. Keys without one are left out.
 */
export async function findChains(engine: DuckDBConnection, records: Records, rules: Rules): Promise<void> {
  const gap = rules.stitchingGap;
  await engine.run(
    `create temp table chains (key INTEGER, profile_id VARCHAR, work_id VARCHAR, lo BIGINT, hi BIGINT, first BIGINT, last BIGINT)`,
  );
  await engine.run('create temp table pending as select * from keys');
  for (let look = FIRST_LOOK; ; look *= 4) {
    const [{ lo, hi }] = await rowsOf<{ lo: number | null; hi: number | null }>(
      engine,
      'select min(lo) as lo, max(hi) as hi from pending',
    );
    const near = lo === null || hi === null ? null : await recordsBetween(records, lo - look, hi + look);
    if (near === null) break;
    await engine.run(
      `create or replace temp table found as
       with played as (
         select k.key, k.lo, k.hi, r.event_time as t
         from ${near} r join pending k on r.profile_id = k.profile_id and r.work_id = k.work_id
         where r.type = 'playback' and r.event_time between k.lo - ${look} and k.hi + ${look}
       ), marked as (
         select *, case when t - lag(t) over (partition by key order by t) <= ${gap} then 0 else 1 end as begins from played
       ), numbered as (
         select *, sum(begins) over (partition by key order by t rows unbounded preceding) as run from marked
       ), runs as (
         select key, any_value(lo) as lo, any_value(hi) as hi, min(t) as first, max(t) as last
         from numbered group by key, run
       )
       select key, min(first) as first, max(last) as last,
         min(first) - ${gap} <= any_value(lo) - ${look} or max(last) + ${gap} >= any_value(hi) + ${look} as goes_on
       from runs where last >= lo and first <= hi
       group by key`,
    );
    await engine.run(
      `insert into chains select k.*, f.first, f.last from found f join pending k using (key) where not f.goes_on`,
    );
    await engine.run(
      `create or replace temp table pending as select k.* from pending k join found f using (key) where f.goes_on`,
    );
  }
}

/** How far before the first event of a chain facts are read, milliseconds: those that some of the rules may need. */
export function readBefore(rules: readonly Rules[]): { playback: number; impression: number } {
  return {
    playback: Math.max(...rules.map((each) => each.flagMemory + each.stitchingGap)),
    impression: Math.max(...rules.map((each) => Math.max(each.discoveryWindow, each.sourceOfPlayWindow))),
  };
}

/**
 * Reads the facts that the plays of `chains` follow from, key by key: the events of the chains and before, as far back as what
 * they say of their playback ids is remembered, and the impressions of the window.
 *
 * @param rules by every policy that will be applied
 * @param onKey called with the number of a key; its facts are gone when it returns
 * @param onChunk called now and then, to wait for what was made of them
 */
export async function readFacts(
  engine: DuckDBConnection,
  records: Records,
  rules: readonly Rules[],
  onKey: (key: number, facts: KeyRows) => void,
  onChunk: () => Promise<void>,
): Promise<void> {
  const { playback: before, impression: window } = readBefore(rules);
  const after = rules[0].stitchingGap;
  const [{ first, last }] = await rowsOf<{ first: number | null; last: number | null }>(
    engine,
    'select min(first) as first, max(last) as last from chains',
  );
  if (first === null || last === null) return;
  const seen = await recordsBetween(records, first - window, last);
  const played = await recordsBetween(records, first - before, last + after);
  const ofKey = 'k on r.profile_id = k.profile_id and r.work_id = k.work_id';
  const parts = [
    ...(seen === null
      ? []
      : [
          `select ${columnsOfImpressions()} from ${seen} r join chains ${ofKey}
           where r.type = 'impression' and r.event_time between k.first - ${window} and k.last`,
        ]),
    ...(played === null
      ? []
      : [
          `select ${columnsOfFacts()} from ${played} r join chains ${ofKey}
           where r.type = 'playback' and r.event_time between k.first - ${before} and k.last + ${after}`,
        ]),
  ];
  if (parts.length === 0) return;
  const result = await engine.stream(`select * from (${parts.join(' union all ')}) order by ${FACT_ORDER}`);
  const facts = new KeyRows();
  let current = -1;
  for (;;) {
    const read = await result.fetchChunk();
    if (read === null || read.rowCount === 0) break;
    const chunk = new FactChunk(read);
    for (let row = 0; row < chunk.rows; row++) {
      const key = chunk.number('key', row);
      if (key !== current) {
        if (current >= 0) onKey(current, facts);
        facts.clear();
        current = key;
      }
      facts.add(chunk, row);
    }
    facts.keep();
    await onChunk();
  }
  if (current >= 0) onKey(current, facts);
}
