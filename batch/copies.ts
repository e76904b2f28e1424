import { randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import type { DuckDBConnection } from '@duckdb/node-api';
import { sqlText } from '../archive/sql-text.ts';
import type { BatchDeps } from './advance.ts';
import { FEW, inBuckets, oneOf, takeRows } from './by-name.ts';
import { IDENTITY_HASH, parquet, PLACE, rowsOf } from './engine.ts';
import { bucketRanges } from './units.ts';

/** What the keys of all lists of copies of an installation begin with. */
export function copiesPrefix(installation: string): string {
  return `batch/${installation}/copies/`;
}

/** So many records that came since are looked at in one go, by their buckets: what is held of them fits in memory. */
const RECORDS_A_SLICE = 1_000_000;

/** Files of the archive. */
export interface LentFiles {
  paths: readonly string[];
  rows: number;
}

/**
 * Finds the copies among archived records: of the records of one event (type, profile, id), all but the one at the smallest
 * place, however far apart. Afterwards the table `copies` holds those that were not known before, with key and time; the
 * records of an event that has no record in `added` are not looked at again.
 *
 * @param added files that no snapshot before held, at least one
 * @param before files that one did
 * @param known files of the copies that were known before
 * @param few up to so many events are looked for by name
 */
export async function findCopies(
  engine: DuckDBConnection,
  added: LentFiles,
  before: readonly string[],
  known: readonly string[],
  few = FEW,
): Promise<void> {
  await engine.run(
    `create temp table copies as
     select bucket, ${PLACE}, type, profile_id, work_id, event_time from ${parquet(added.paths)} limit 0`,
  );
  for (const { from, to } of bucketRanges(Math.ceil(added.rows / RECORDS_A_SLICE))) {
    await findCopiesOf(engine, `bucket between ${from} and ${to}`, added.paths, before, few);
  }
  if (known.length > 0) {
    await engine.run(`delete from copies where (${PLACE}) in (select (${PLACE}) from ${parquet(known)})`);
  }
}

/** Of some buckets: all records of an event are in one. */
async function findCopiesOf(
  engine: DuckDBConnection,
  ofSlice: string,
  added: readonly string[],
  before: readonly string[],
  few: number,
): Promise<void> {
  await engine.run(`create temp table sought as select ${IDENTITY_HASH} as h from ${parquet(added)} where ${ofSlice}`);
  const all = [...before, ...added];
  let count = await countSought(engine);
  if (count > few) {
    const again =
      before.length === 0
        ? ''
        : `union all
           select h from (select ${IDENTITY_HASH} as h from ${parquet(before)} where ${ofSlice})
           where h in (select h from sought)`;
    await engine.run(
      `create or replace temp table sought as
       select h from (select h from sought ${again}) group by h having count(*) > 1`,
    );
    count = await countSought(engine);
  }
  if (count > 0) {
    if (count <= few) await takeEvents(engine, `${parquet(added)} where ${ofSlice}`, all);
    // A hash only narrows the search: the texts themselves decide. The order of topics is that of their bytes, which is
    // that of their code units: Kafka allows ASCII only.
    await engine.run(
      `insert into copies
       select bucket, ${PLACE}, type, profile_id, work_id, event_time
       from (
         select bucket, ${PLACE}, type, profile_id, work_id, event_time, event_id
         from ${count <= few ? 'events' : parquet(all)}
         where ${ofSlice} and ${IDENTITY_HASH} in (select h from sought)
       )
       qualify row_number() over (partition by type, profile_id, event_id order by ${PLACE}) > 1`,
    );
    if (count <= few) await engine.run('drop table events');
  }
  await engine.run('drop table sought');
}

async function countSought(engine: DuckDBConnection): Promise<number> {
  const [{ n }] = await rowsOf<{ n: number }>(engine, 'select count(*) as n from sought');
  return n;
}

/** Makes the table `events` of all records with the ids of those in `sought`: each of them has one that was added. */
async function takeEvents(engine: DuckDBConnection, added: string, all: readonly string[]): Promise<void> {
  const events = await rowsOf<{ bucket: number; event_id: string }>(
    engine,
    `select distinct bucket, event_id from ${added} and ${IDENTITY_HASH} in (select h from sought)`,
  );
  const ids = events.map(({ event_id }) => event_id);
  await takeRows(engine, 'events', all, {
    where: `${inBuckets(events.map(({ bucket }) => bucket))} and ${oneOf('event_id', ids)}`,
  });
}

/** Keeps the found copies in the storage. @returns where, or null where there are none */
export async function storeCopies(
  engine: DuckDBConnection,
  { storage, scratch }: Pick<BatchDeps, 'storage' | 'scratch'>,
  installation: string,
): Promise<string | null> {
  const [{ n }] = await rowsOf<{ n: number }>(engine, 'select count(*) as n from copies');
  if (n === 0) return null;
  const aside = path.join(scratch, `${randomUUID()}.parquet`);
  try {
    await engine.run(
      `copy (select bucket, ${PLACE} from copies order by bucket, ${PLACE}) to ${sqlText(aside)} (format parquet)`,
    );
    const key = `${copiesPrefix(installation)}${randomUUID()}.parquet`;
    await storage.putFile(key, aside, { ifAbsent: true });
    return key;
  } finally {
    await fs.rm(aside, { force: true });
  }
}
