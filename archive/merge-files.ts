import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { withLease } from '../platform/storage.ts';
import { FILE_ORDER } from './columns.ts';
import { type ArchiveFile, type FileDescription, METADATA_KEY } from './file.ts';
import { asObjects } from './manifest.ts';
import { type ArchivePlaces, publish } from './publish.ts';
import { sqlText } from './sql-text.ts';
import { FILE_OPTIONS } from './writer.ts';

const MEMORY = '1GB';

/** What files that follow one another are together. */
function describeTogether(files: readonly ArchiveFile[], createdAt: number): FileDescription {
  const [first] = files;
  const { format, topic, partition, log, from, after, previous } = first;
  const days: Record<string, number> = {};
  for (const file of files) for (const [day, n] of Object.entries(file.days)) days[day] = (days[day] ?? 0) + n;
  const times = files.flatMap(({ minEventTime, maxEventTime }) =>
    minEventTime === null || maxEventTime === null ? [] : [minEventTime, maxEventTime],
  );
  return {
    format,
    topic,
    partition,
    log,
    from,
    to: files[files.length - 1].to,
    rows: files.reduce((sum, { rows }) => sum + rows, 0),
    minEventTime: times.length === 0 ? null : Math.min(...times),
    maxEventTime: times.length === 0 ? null : Math.max(...times),
    days: Object.fromEntries(Object.entries(days).sort(([a], [b]) => (a < b ? -1 : 1))),
    after,
    previous,
    createdAt,
    replaces: files.map((file) => file.path),
  };
}

/**
 * Writes the rows of files that follow one another without a gap as one file, published under a key of its own. Nobody reads it
 * before the manifest names it in their stead (`replaceFiles`).
 *
 * @throws NoSuchObjectError, DamagedObjectError
 */
export async function mergeFiles(places: ArchivePlaces, files: readonly ArchiveFile[]): Promise<ArchiveFile> {
  const { storage, scratch } = places;
  const description = describeTogether(files, Date.now());
  return publish(places, async (aside) => {
    await withLease(storage, async (lease) => write(await lease.take(asObjects(files)), aside, description, scratch));
    return description;
  });
}

/** As the archiver writes a file. */
async function write(
  from: readonly string[],
  aside: string,
  description: FileDescription,
  scratch: string,
): Promise<void> {
  const instance = await DuckDBInstance.create(':memory:', {
    threads: '1',
    memory_limit: MEMORY,
    temp_directory: scratch,
  });
  const connection = await instance.connect();
  try {
    const source = `read_parquet([${from.map(sqlText).join(', ')}])`;
    await connection.run(
      `copy (select * from ${source} order by ${FILE_ORDER}) to ${sqlText(aside)} (
         ${FILE_OPTIONS},
         kv_metadata {${METADATA_KEY}: ${sqlText(JSON.stringify(description))}}
       )`,
    );
    await check(connection, aside, description);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** A merged file stands for files that will be deleted: it is counted before it does. */
async function check(connection: DuckDBConnection, aside: string, { rows, from, to }: FileDescription): Promise<void> {
  const reader = await connection.runAndReadAll(
    `select count(distinct "offset")::DOUBLE, count(*) filter ("offset" < ${from} or "offset" >= ${to})::DOUBLE, count(*)::DOUBLE
     from read_parquet(${sqlText(aside)})`,
  );
  const [[distinct, outside, all]] = reader.getRows() as [number, number, number][];
  if (distinct === rows && all === rows && outside === 0) return;
  throw new Error(
    `A merged file of the offsets ${from} to ${to} has ${all} rows, ${distinct} of them different, ${outside} outside; expected ${rows}`,
  );
}
