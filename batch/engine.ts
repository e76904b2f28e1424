import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { sqlText } from '../archive/sql-text.ts';
import { type Lease, withLease } from '../platform/storage.ts';
import type { BatchDeps } from './advance.ts';

/** Leaves the other core to Postgres and to the decisions. */
const THREADS = '2';
const MEMORY = '2GB';

/**
 * DuckDB for one step of work: in memory, spilling to the scratch folder beyond its limit, gone afterwards.
 *
 * @param signal aborted, it interrupts the query under way, and the error is the signal's reason
 */
export async function withEngine<Result>(
  { scratch, memoryLimit = MEMORY }: Pick<BatchDeps, 'scratch' | 'memoryLimit'>,
  work: (engine: DuckDBConnection) => Promise<Result>,
  signal?: AbortSignal,
): Promise<Result> {
  signal?.throwIfAborted();
  const instance = await DuckDBInstance.create(':memory:', {
    threads: THREADS,
    memory_limit: memoryLimit,
    temp_directory: scratch,
    // All that is read in an order says which.
    preserve_insertion_order: 'false',
  });
  const engine = await instance.connect();
  const interrupt = () => engine.interrupt();
  signal?.addEventListener('abort', interrupt);
  try {
    // Files are read several times over, and none changes. What is in them, the system remembers, outside of our memory.
    await engine.run('set parquet_metadata_cache = true; set enable_external_file_cache = false');
    return await work(engine);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', interrupt);
    engine.closeSync();
    instance.closeSync();
  }
}

/** The same with a lease on objects of the storage: what `work` reads stays where it is until it is done. */
export async function withEngineAndFiles<Result>(
  deps: Pick<BatchDeps, 'scratch' | 'memoryLimit' | 'storage'>,
  work: (engine: DuckDBConnection, lease: Lease) => Promise<Result>,
  signal?: AbortSignal,
): Promise<Result> {
  return withLease(deps.storage, (lease) => withEngine(deps, (engine) => work(engine, lease), signal));
}

/** Rows as objects, with BIGINT as numbers. */
export async function rowsOf<Row>(engine: DuckDBConnection, sql: string): Promise<Row[]> {
  const reader = await engine.runAndReadAll(sql);
  return reader
    .getRowObjectsJS()
    .map((row) =>
      Object.fromEntries(
        Object.entries(row).map(([name, value]) => [name, typeof value === 'bigint' ? Number(value) : value]),
      ),
    ) as Row[];
}

/** Files as a relation; there must be one. */
export function parquet(paths: readonly string[]): string {
  return `read_parquet([${paths.map(sqlText).join(', ')}])`;
}

/** An event's place, for comparing. */
export const PLACE = 'topic, partition, log, "offset"';
/** A hash of what identifies an event. */
export const IDENTITY_HASH = 'hash(type, profile_id, event_id)';
/**
 * What a text is to be ordered by, so that its order is that of its code units, as everywhere else: DuckDB compares bytes, by
 * which what lies beyond U+FFFF comes last, not before U+E000.
 */
export function inCodeUnits(text: string): string {
  return `regexp_replace(${text}, '([\\x{E000}-\\x{FFFF}])', chr(1114111) || '\\1', 'g')`;
}
