import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { type Lease, type Storage, withLease } from '../platform/storage.ts';
import { NotAnArchiveFileError } from './errors.ts';
import { type FileDescription, METADATA_KEY, parseDescription } from './file.ts';
import { sqlText } from './sql-text.ts';

/** How many files are asked for their metadata in one go. */
const BATCH = 200;

/**
 * What files of the archive say of themselves, by their keys.
 *
 * @throws NotAnArchiveFileError
 */
export async function readDescriptions(
  storage: Storage,
  keys: readonly string[],
): Promise<Map<string, FileDescription>> {
  const found = new Map<string, FileDescription>();
  if (keys.length === 0) return found;
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await instance.connect();
  try {
    for (let i = 0; i < keys.length; i += BATCH) {
      const batch = keys.slice(i, i + BATCH);
      await withLease(storage, async (lease) => {
        for (const [key, json] of await readMetadata(connection, lease, batch)) found.set(key, described(key, json));
      });
    }
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
  return found;
}

async function readMetadata(
  connection: DuckDBConnection,
  lease: Lease,
  keys: readonly string[],
): Promise<[string, string | null][]> {
  const files = await lease.take(keys.map((key) => ({ key })));
  try {
    const reader = await connection.runAndReadAll(
      `select file_name, decode(value) from parquet_kv_metadata([${files.map(sqlText).join(', ')}])
       where decode(key) = '${METADATA_KEY}'`,
    );
    const metadata = new Map(reader.getRows() as [string, string][]);
    return keys.map((key, i) => [key, metadata.get(files[i]) ?? null]);
  } catch (error) {
    const [key] = keys;
    if (keys.length === 1) throw new NotAnArchiveFileError(key, error instanceof Error ? error.message : String(error));
    // One by one, to name the one that it is.
    const each: [string, string | null][] = [];
    for (const one of keys) each.push(...(await readMetadata(connection, lease, [one])));
    return each;
  }
}

function described(key: string, json: string | null): FileDescription {
  if (json === null) throw new NotAnArchiveFileError(key, 'it does not describe itself');
  try {
    return parseDescription(json);
  } catch (error) {
    throw new NotAnArchiveFileError(key, error instanceof Error ? error.message : String(error));
  }
}
