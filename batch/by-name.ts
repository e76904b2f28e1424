import type { DuckDBConnection } from '@duckdb/node-api';
import { sqlText } from '../archive/sql-text.ts';
import { parquet, rowsOf } from './engine.ts';

/**
 * Of up to so many keys, or events, the records are looked for by name. Joined with all that there is, they would cost nearly what all
 * keys cost: DuckDB decodes every column that is asked for of a row group, whichever of its rows are wanted.
 */
export const FEW = 2_000;

/** A list of more buckets lets hardly a row group be passed over: each holds several. */
const FEW_BUCKETS = 64;

/** By a list of more rows, one reads as much as all. */
const FEW_ROWS = 100_000;

/** SQL that is true of records with these values. */
export function oneOf(column: string, values: Iterable<string>): string {
  return `${column} in (${Array.from(new Set(values), sqlText).join(', ')})`;
}

/** The same for buckets, where it spares anything. */
export function inBuckets(values: Iterable<number>): string {
  const buckets = new Set(values);
  return buckets.size <= FEW_BUCKETS ? `bucket in (${[...buckets].join(', ')})` : 'true';
}

/**
 * Makes a table of a few records of files. First it is read where they are, by the columns that they are known by and no others; then
 * what there is at these places, which is in few row groups.
 *
 * @param where by what they are known, as SQL
 * @param of what they must be besides, as SQL
 * @param fewRows more are not read one by one
 */
export async function takeRows(
  engine: DuckDBConnection,
  table: string,
  paths: readonly string[],
  { where, of = 'true', fewRows = FEW_ROWS }: { where: string; of?: string; fewRows?: number },
): Promise<void> {
  const places = await rowsOf<{ filename: string; n: number; rows: string }>(
    engine,
    `select filename, count(*) as n, string_agg(file_row_number, ', ') as rows
     from (
       select * from read_parquet([${paths.map(sqlText).join(', ')}], filename = true, file_row_number = true) where ${where}
     )
     where ${of} group by filename`,
  );
  if (places.reduce((sum, { n }) => sum + n, 0) > fewRows) {
    await engine.run(`create temp table ${table} as select * from ${parquet(paths)} where ${where} and ${of}`);
    return;
  }
  await engine.run(`create temp table ${table} as select * from ${parquet(paths)} limit 0`);
  for (const { filename, rows } of places) {
    await engine.run(
      `insert into ${table}
       select * exclude (file_row_number) from read_parquet(${sqlText(filename)}, file_row_number = true)
       where file_row_number in (${rows})`,
    );
  }
}
