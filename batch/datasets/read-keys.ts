import type { DuckDBConnection } from '@duckdb/node-api';
import { type Records, recordsBetween } from '../facts.ts';
import { rowsOf } from '../engine.ts';
import { columnsOfFacts, FACT_COLUMN_COUNT, FACT_ORDER, FactChunk, KeyRows } from '../key-rows.ts';
import { CATEGORIES } from './schema.ts';

/** The times of the examples' impressions (`end` not included), and how far around them impressions matter. Milliseconds. */
export interface ReadTimes {
  begin: number;
  end: number;
  before: number;
  after: number;
}

/** What an impression says beside what decides of plays. */
export interface Shown {
  title: string;
  country: string;
  device: string;
  profileType: string | null;
}

/** A key with all its playback events and the impressions around the examples; gone when the reader goes on. */
export interface ReadKey {
  profileId: string;
  workId: string;
  facts: KeyRows;
  /** By id, the impressions of the examples' times. */
  shown: ReadonlyMap<string, Shown>;
}

/** What there is of a shard's impressions before they are read. */
export interface Preview {
  /** How many valid impressions of the times the shard has to account for. */
  impressions: number;
  /** By column: what texts a category has, in order of their bytes. */
  categories: ReadonlyMap<string, readonly string[]>;
}

/** Makes the table `keys`: those with an impression in the times, numbered in the order of rows. */
export async function findKeys(
  engine: DuckDBConnection,
  records: Records,
  { begin, end }: ReadTimes,
): Promise<Preview> {
  await engine.run('create temp table keys (key INTEGER, profile_id VARCHAR, work_id VARCHAR)');
  const seen = await recordsBetween(records, begin, end - 1);
  if (seen === null) return { impressions: 0, categories: new Map() };
  await engine.run(
    `insert into keys
     select (row_number() over (order by bucket, profile_id, work_id)) - 1, profile_id, work_id
     from (select distinct bucket, profile_id, work_id from ${seen} where type = 'impression')`,
  );
  const stored = CATEGORIES.filter((name) => name !== 'surface_class');
  const [{ impressions, ...lists }] = await rowsOf<{ impressions: number } & Record<string, string[] | null>>(
    engine,
    `select count(*) as impressions, ${stored
      .map((name) => `list_sort(list(distinct ${name}) filter (where ${name} is not null)) as ${name}`)
      .join(', ')}
     from ${seen} where type = 'impression'`,
  );
  return { impressions, categories: new Map(stored.map((name) => [name, lists[name] ?? []])) };
}

/** Columns that are read after those of the facts. */
const EXTRA = ['r.profile_type', 'k.profile_id', 'k.work_id'];

/**
 * Reads the facts of the keys in the table `keys`, one after the other: playback events however old or late, since any of them
 * can have discovered the work.
 *
 * @param onKey called with a key
 * @param onChunk called now and then, to wait for what was made of the keys
 */
export async function readKeys(
  engine: DuckDBConnection,
  records: Records,
  times: ReadTimes,
  onKey: (key: ReadKey) => void,
  onChunk: () => Promise<void>,
): Promise<void> {
  const relation = await recordsBetween(records, ...everything(records));
  if (relation === null) return;
  const result = await engine.stream(
    `select ${[columnsOfFacts(), ...EXTRA].join(', ')}
     from ${relation} r join keys k on r.profile_id = k.profile_id and r.work_id = k.work_id
     where r.type = 'playback' or r.event_time between ${times.begin - times.before} and ${times.end - 1 + times.after}
     order by ${FACT_ORDER}`,
  );
  const [profileType, profileId, workId] = EXTRA.map((_, i) => FACT_COLUMN_COUNT + i);
  const facts = new KeyRows();
  const shown = new Map<string, Shown>();
  let current = -1;
  const finish = () => {
    if (current >= 0) onKey({ profileId: facts.profileId, workId: facts.workId, facts, shown });
  };
  for (;;) {
    const read = await result.fetchChunk();
    if (read === null || read.rowCount === 0) break;
    const chunk = new FactChunk(read);
    const text = (column: number, row: number) => read.getColumnVector(column).getItem(row) as string | null;
    for (let row = 0; row < chunk.rows; row++) {
      const key = chunk.number('key', row);
      if (key !== current) {
        finish();
        facts.clear();
        shown.clear();
        current = key;
        facts.profileId = text(profileId, row) ?? '';
        facts.workId = text(workId, row) ?? '';
      }
      facts.add(chunk, row);
      if (chunk.isPlayback(row)) continue;
      const time = chunk.number('time', row);
      if (time < times.begin || time >= times.end) continue;
      shown.set(chunk.text('id', row) ?? '', {
        title: chunk.text('title', row) ?? '',
        country: chunk.text('country', row) ?? '',
        device: chunk.text('device', row) ?? '',
        profileType: text(profileType, row),
      });
    }
    facts.keep();
    await onChunk();
  }
  finish();
}

function everything({ files }: Records): [number, number] {
  const first = Math.min(...files.map((file) => file.minEventTime ?? Infinity));
  const last = Math.max(...files.map((file) => file.maxEventTime ?? -Infinity));
  // Of no files at all the relation is none, whatever the times.
  return files.length === 0 ? [0, 0] : [first, last];
}
