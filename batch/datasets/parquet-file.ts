import { type DuckDBAppender, DuckDBInstance, DuckDBTimestampTZValue } from '@duckdb/node-api';
import { sqlText } from '../../archive/sql-text.ts';
import type { Value } from './arrow-columns.ts';
import { COLUMNS, type ColumnType, type Example } from './schema.ts';
import type { ShardFile, ShardFileOptions } from './shard-file.ts';

const MEMORY = '1GB';

/** A Parquet file, written by DuckDB: by one thread and in the order of the rows, so that the same rows give the same bytes. */
export async function createParquetFile({ file, scratch, memoryLimit = MEMORY }: ShardFileOptions): Promise<ShardFile> {
  const instance = await DuckDBInstance.create(':memory:', {
    threads: '1',
    memory_limit: memoryLimit,
    temp_directory: scratch,
    preserve_insertion_order: 'true',
  });
  const connection = await instance.connect();
  const columns = COLUMNS.map(({ name, type, nullable }) => `${name} ${SQL_TYPES[type]}${nullable ? '' : ' not null'}`);
  await connection.run(`create table examples (${columns.join(', ')})`);
  const appender = await connection.createAppender('examples');
  return {
    add(example: Example) {
      for (const { name, type } of COLUMNS) append(appender, type, example[name]);
      appender.endRow();
    },
    async drain() {},
    async finish() {
      appender.flushSync();
      await connection.run(`copy examples to ${sqlText(file)} (format parquet, compression zstd)`);
    },
    async close() {
      appender.closeSync();
      connection.closeSync();
      instance.closeSync();
    },
  };
}

export const SQL_TYPES: Readonly<Record<ColumnType, string>> = {
  text: 'VARCHAR',
  category: 'VARCHAR',
  time: 'TIMESTAMP WITH TIME ZONE',
  bool: 'BOOLEAN',
  int8: 'TINYINT',
  int32: 'INTEGER',
  int64: 'BIGINT',
  float64: 'DOUBLE',
};

function append(appender: DuckDBAppender, type: ColumnType, value: Value): void {
  if (value === null) return appender.appendNull();
  switch (type) {
    case 'text':
    case 'category':
      return appender.appendVarchar(String(value));
    case 'time':
      return appender.appendTimestampTZ(new DuckDBTimestampTZValue(BigInt(Number(value)) * 1_000n));
    case 'bool':
      return appender.appendBoolean(value === true);
    case 'int8':
      return appender.appendTinyInt(Number(value));
    case 'int32':
      return appender.appendInteger(Number(value));
    case 'int64':
      return appender.appendBigInt(BigInt(Number(value)));
    case 'float64':
      return appender.appendDouble(Number(value));
  }
}
