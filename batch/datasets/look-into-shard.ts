import { DuckDBInstance } from '@duckdb/node-api';
import { tableFromIPC } from 'apache-arrow';
import { sqlText } from '../../archive/sql-text.ts';
import { rowsOf } from '../engine.ts';
import { arrowColumns, arrowSchema } from './arrow-columns.ts';
import { SQL_TYPES } from './parquet-file.ts';
import type { DatasetFormat } from './request.ts';
import { COLUMNS } from './schema.ts';

export interface ShardContent {
  rows: number;
  positives: number;
  /** The columns with their types, by the words of a dataset's schema; others as the file has them. */
  schema: string;
}

/**
 * Reads a shard.
 *
 * @param place where DuckDB finds it
 * @throws what its reader throws, where the file is damaged
 */
export async function lookIntoShard(format: DatasetFormat, bytes: Uint8Array, place: string): Promise<ShardContent> {
  return format === 'arrow' ? lookIntoArrow(bytes) : lookIntoParquet(place);
}

function lookIntoArrow(bytes: Uint8Array): ShardContent {
  const table = tableFromIPC(bytes);
  const expected = arrowSchema(arrowColumns(new Map(), 0)).fields;
  const schema = table.schema.fields.map((field) => {
    const place = COLUMNS.findIndex(({ name }) => name === field.name);
    const isAsWritten = place >= 0 && String(expected[place].type) === String(field.type);
    return `${field.name} ${isAsWritten ? COLUMNS[place].type : String(field.type)}`;
  });
  let positives = 0;
  const labels = table.getChild('label');
  // Every value of every column is looked at, so that what cannot be read is found here.
  for (const column of table.schema.fields) for (const value of table.getChild(column.name) ?? []) void value;
  for (const label of labels ?? []) positives += Number(label);
  return { rows: table.numRows, positives, schema: schema.join(', ') };
}

async function lookIntoParquet(place: string): Promise<ShardContent> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await instance.connect();
  try {
    const file = `read_parquet(${sqlText(place)})`;
    const columns = await rowsOf<{ column_name: string; column_type: string }>(connection, `describe from ${file}`);
    const schema = columns.map(({ column_name, column_type }) => {
      const column = COLUMNS.find(({ name }) => name === column_name);
      return `${column_name} ${column && SQL_TYPES[column.type] === column_type ? column.type : column_type}`;
    });
    const hashes = columns.map(({ column_name }) => `hash("${column_name}")`).join(', ');
    // Every value of every column is looked at, so that what cannot be read is found here.
    const [{ rows, positives }] = await rowsOf<{ rows: number; positives: number | null }>(
      connection,
      `select count(*) as rows, sum(label)::BIGINT as positives, bit_xor(greatest(${hashes})) as seen from ${file}`,
    );
    return { rows, positives: positives ?? 0, schema: schema.join(', ') };
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
