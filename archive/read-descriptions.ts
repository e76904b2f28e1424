import { DuckDBInstance } from '@duckdb/node-api';
import type { Storage } from '../platform/storage.ts';
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
      const byFile = new Map(keys.slice(i, i + BATCH).map((key) => [storage.locate(key), key]));
      const files = [...byFile.keys()].map(sqlText).join(', ');
      const reader = await connection
        .runAndReadAll(
          `select file_name, decode(value) from parquet_kv_metadata([${files}]) where decode(key) = '${METADATA_KEY}'`,
        )
        .catch((error: Error) => {
          throw new NotAnArchiveFileError([...byFile.values()].join(', '), error.message);
        });
      for (const [file, json] of reader.getRows() as [string, string][]) {
        const key = byFile.get(file);
        if (key !== undefined) found.set(key, described(key, json));
      }
    }
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
  const without = keys.find((key) => !found.has(key));
  if (without !== undefined) throw new NotAnArchiveFileError(without, 'it does not describe itself');
  return found;
}

function described(key: string, json: string): FileDescription {
  try {
    return parseDescription(json);
  } catch (error) {
    throw new NotAnArchiveFileError(key, error instanceof Error ? error.message : String(error));
  }
}
