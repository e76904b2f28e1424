/**
 * An archive of many days, made by SQL rather than streamed: Parquet files as the archiver writes them, and their manifest.
 * Four fifths are impressions; profiles come back every day; plays mostly follow an impression of the day.
 */

import { DuckDBInstance } from '@duckdb/node-api';
import { BUCKET_SQL, COMPUTED_COLUMNS, DAY_SQL, FILE_ORDER, STORED_COLUMNS } from '../archive/columns.ts';
import { FORMAT, prefixOf } from '../archive/file.ts';
import { addToManifest, findInstallation } from '../archive/manifest.ts';
import { publish } from '../archive/publish.ts';
import { sqlText } from '../archive/sql-text.ts';
import { FILE_OPTIONS } from '../archive/writer.ts';
import { withTransaction, type Pool } from '../platform/postgres.ts';
import type { Storage } from '../platform/storage.ts';

const DAY = 86_400_000;
const EVENTS_A_PROFILE = 25;
const EVENTS_A_PLAY = 10;
const WORKS = 6_000;
const ROW_TYPES = ['because_you_watched', 'top_picks', 'trending', 'continue_watching', 'genre', 'top_10'];

export interface SyntheticDay {
  /** Midnight, epoch milliseconds. */
  begin: number;
  events: number;
  /** Without playback events: only a window behind. */
  impressionsOnly: boolean;
}

export interface SyntheticArchive {
  pool: Pool;
  storage: Storage;
  scratch: string;
  /** The same in all days, so that each has a window behind. */
  profiles: number;
}

/** As many profiles as the largest day has. */
export function profilesOf(days: readonly SyntheticDay[]): number {
  return Math.ceil(Math.max(...days.map(({ events }) => events)) / EVENTS_A_PROFILE);
}

/** A file has at most so many events: a large day is several. */
const EVENTS_A_FILE = 2_500_000;

/** What is made in one go; other numbers make other events. */
interface Part {
  number: number;
  begin: number;
  shown: number;
  plays: number;
  profiles: number;
}

function partsOf({ begin, events, impressionsOnly }: SyntheticDay, profiles: number): Part[] {
  const parts = Math.ceil(events / EVENTS_A_FILE);
  const shown = Math.round((events * 0.8) / parts);
  const plays = impressionsOnly ? 0 : Math.round((events / parts - shown) / EVENTS_A_PLAY);
  return Array.from({ length: parts }, (_, i) => ({ number: (begin / DAY) * 100 + i, begin, shown, plays, profiles }));
}

/** Adds the days one after the other. */
export async function addSyntheticDays(archive: SyntheticArchive, days: readonly SyntheticDay[]): Promise<void> {
  for (const part of days.flatMap((day) => partsOf(day, archive.profiles))) {
    const rows = part.shown + part.plays * EVENTS_A_PLAY;
    await addFile(archive, part.begin, rows, (offset) => recordsSql(part, offset));
  }
}

/** Adds, for each so-and-so-many-th play of a day, a heartbeat that came late: its key is dirty. @returns how many */
export async function addLateEvents(archive: SyntheticArchive, day: SyntheticDay, every: number): Promise<number> {
  const parts = partsOf(day, archive.profiles);
  const rows = parts.reduce((sum, { plays }) => sum + Math.ceil(plays / every), 0);
  const late = parts.map(
    (part) =>
      `select * from (${recordsSql(part, 0)})
       where action = 'heartbeat' and ("offset" - ${part.shown}) % ${EVENTS_A_PLAY} = 2
         and ("offset" - ${part.shown}) // ${EVENTS_A_PLAY} % ${every} = 0`,
  );
  await addFile(
    archive,
    day.begin,
    rows,
    (offset) =>
      `select * replace (${idSql("'late-' || event_id")} as event_id, event_time + 30000 as event_time,
         (${offset} + row_number() over (order by event_id) - 1)::BIGINT as "offset")
       from (${late.join(' union all ')})`,
  );
  return rows;
}

/** Adds a file to what is archived, as the archiver would. */
async function addFile(
  { pool, storage, scratch }: SyntheticArchive,
  begin: number,
  rows: number,
  records: (offset: number) => string,
): Promise<void> {
  await pool.query(
    `insert into whence.archive_tasks (topic, partition, epoch) values ('events', 0, 1) on conflict do nothing`,
  );
  const at = await pool.query<{ next_offset: number }>('select next_offset from whence.archive_tasks');
  const [{ next_offset: offset }] = at.rows;
  const range = { format: FORMAT, topic: 'events', partition: 0, log: 0, from: offset, to: offset + rows } as const;
  const description = {
    ...range,
    rows,
    minEventTime: begin,
    maxEventTime: begin + DAY - 1,
    days: { [new Date(begin).toISOString().slice(0, 10)]: rows },
    after: { log: 0, offset },
    previous: null,
    createdAt: begin,
  };
  const places = { storage, scratch, prefix: prefixOf(await findInstallation(pool)) };
  const file = await publish(places, async (aside) => {
    await writeParquet(records(offset), aside, scratch);
    return description;
  });
  await withTransaction(pool, async (client) => {
    await client.query(
      `update whence.archive_tasks set next_offset = $1,
         greatest_event_time = greatest(greatest_event_time, to_timestamp($2::double precision / 1000)),
         quiet_since = now() - interval '2 hours', end_seen_at = now()
       where topic = 'events'`,
      [offset + rows, begin + DAY - 1],
    );
    await addToManifest(client, file);
  });
}

async function writeParquet(records: string, aside: string, scratch: string): Promise<void> {
  const computed: Record<string, string> = {
    day: DAY_SQL,
    bucket: BUCKET_SQL,
    work_id: 'coalesce(series_id, title_id)',
    topic: `'events'`,
    partition: '0::INTEGER',
    log: '0::INTEGER',
  };
  const columns = COMPUTED_COLUMNS.map((name) => `${computed[name]} as ${name}`).join(', ');
  const settings = { threads: '2', memory_limit: '4GB', temp_directory: scratch, preserve_insertion_order: 'false' };
  const instance = await DuckDBInstance.create(':memory:', settings);
  const engine = await instance.connect();
  try {
    await engine.run(
      `copy (select ${columns}, * from (${records}) order by ${FILE_ORDER}) to ${sqlText(aside)} (${FILE_OPTIONS})`,
    );
  } finally {
    engine.closeSync();
    instance.closeSync();
  }
}

/** As long, and as unlike one another, as ids are. */
function idSql(text: string): string {
  return `md5(${text})::uuid::varchar`;
}

function recordsSql({ number: day, begin, shown, plays, profiles }: Part, offset: number): string {
  const row = (i: string) =>
    `[${ROW_TYPES.map((name) => `'${name}'`).join(', ')}][1 + (hash(${i}, 'row', ${day}) % ${ROW_TYPES.length})::INTEGER]`;
  // Titles as people choose them: few of them are most of it.
  const work = (i: string) => `'title-' || floor(pow(hash(${i}, 'w', ${day}) % 1000000 / 1e6, 3) * ${WORKS})::INTEGER`;
  const profile = (i: string) => `'profile-' || hash(${i}, 'p', ${day}) % ${profiles}`;
  const time = (i: string) => `${begin} + (hash(${i}, 't', ${day}) % ${DAY - 2 * 3_600_000})::BIGINT`;
  const empty = Object.fromEntries(STORED_COLUMNS.map(({ name, type }) => [name, `null::${type}`]));
  const select = (columns: Record<string, string>, from: string) =>
    `select ${STORED_COLUMNS.map(({ name, type }) => `(${{ ...empty, ...columns }[name]})::${type} as "${name}"`).join(', ')} from ${from}`;
  const impressions = select(
    {
      offset: `${offset} + i`,
      kafka_timestamp: time('i'),
      event_time: time('i'),
      type: `'impression'`,
      event_id: idSql(`'i-${day}-' || i`),
      profile_id: profile('i'),
      title_id: work('i'),
      country: `'US'`,
      device_type: `'tv'`,
      page_view_id: `'v' || i // 20`,
      page: `'home'`,
      row_type: row('i'),
      row_id: `${row('i')} || ':' || (hash(i, 'id') % 50)`,
      row_rank: `hash(i, 'rank') % 20`,
      position: `hash(i, 'position') % 40`,
      token: `'token-${day}-' || i`,
    },
    `range(${shown}) t (i)`,
  );
  if (plays === 0) return impressions;
  const seen = `(p * ${Math.floor(shown / plays)})`;
  const playback = select(
    {
      offset: `${offset + shown} + p * ${EVENTS_A_PLAY} + n`,
      kafka_timestamp: `${time(seen)} + 60000 + n * 60000`,
      event_time: `${time(seen)} + 60000 + n * 60000`,
      type: `'playback'`,
      event_id: idSql(`'e-${day}-' || p || '-' || n`),
      profile_id: profile(seen),
      title_id: work(seen),
      country: `'US'`,
      device_type: `'tv'`,
      action: `case n when 0 then 'start' when ${EVENTS_A_PLAY - 1} then 'stop' else 'heartbeat' end`,
      playback_id: `'b-${day}-' || p`,
      kind: `'main'`,
      runtime_ms: '2400000',
      origin_surface: `case when n = 0 and p % 10 < 7 then 'home' end`,
      origin_row_type: `case when n = 0 and p % 10 < 7 then ${row(seen)} end`,
      origin_token: `case when n = 0 and p % 10 < 7 then 'token-${day}-' || ${seen} end`,
    },
    `range(${plays}) a (p), range(${EVENTS_A_PLAY}) b (n)`,
  );
  return `${impressions} union all ${playback}`;
}
