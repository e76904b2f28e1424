import { type DuckDBAppender, DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import {
  type ArchivedRecord,
  BUCKET_SQL,
  type ColumnType,
  COMPUTED_COLUMNS,
  DAY_SQL,
  FILE_ORDER,
  STORED_COLUMNS,
  valuesOf,
} from './columns.ts';
import { type FileDescription, METADATA_KEY } from './file.ts';
import { sqlText } from './sql-text.ts';

/** Rows of a row group: small, so that a reader of one bucket of a day skips most of a file. */
const ROW_GROUP_ROWS = 16_384;
/**
 * How files are written. A text that comes twice in a row group is worth a dictionary: works are found in one in half the time. The
 * second version of Parquet packs times, offsets and ids that few have in common into less, which is read faster.
 */
export const FILE_OPTIONS = `format parquet, parquet_version v2, compression zstd, row_group_size ${ROW_GROUP_ROWS},
  dictionary_size_limit ${ROW_GROUP_ROWS / 2}`;
const MEMORY = '1GB';

/** What is known of a file before its rows are counted. */
export type FileRange = Omit<FileDescription, 'rows' | 'minEventTime' | 'maxEventTime' | 'days' | 'replaces'>;

/** Gathers records in DuckDB's memory and writes them as Parquet. One for a process; not bound to any topic. */
export class ArchiveWriter {
  readonly #instance: DuckDBInstance;
  #count = 0;

  private constructor(instance: DuckDBInstance) {
    this.#instance = instance;
  }

  /** @param scratch a folder of this machine, for what does not fit in memory */
  static async open(scratch: string): Promise<ArchiveWriter> {
    const instance = await DuckDBInstance.create(':memory:', {
      // The stream beside it is to have the others.
      threads: '1',
      memory_limit: MEMORY,
      temp_directory: scratch,
    });
    return new ArchiveWriter(instance);
  }

  /** Begins to gather the records of a file. */
  async begin(): Promise<RecordBuffer> {
    const table = `records_${++this.#count}`;
    const columns = STORED_COLUMNS.map(({ name, type }) => `"${name}" ${type}`);
    const connection = await this.#instance.connect();
    await connection.run(`create table ${table} (${columns.join(', ')})`);
    return new RecordBuffer(this.#instance, connection, table, await connection.createAppender(table));
  }

  close(): void {
    this.#instance.closeSync();
  }
}

/** The records of one file to be. */
export class RecordBuffer {
  readonly #instance: DuckDBInstance;
  /** Its own: a connection runs one thing at a time, and another buffer's would end what this one is at. */
  readonly #appending: DuckDBConnection;
  readonly #table: string;
  readonly #appender: DuckDBAppender;
  rows = 0;

  constructor(instance: DuckDBInstance, appending: DuckDBConnection, table: string, appender: DuckDBAppender) {
    this.#instance = instance;
    this.#appending = appending;
    this.#table = table;
    this.#appender = appender;
  }

  append(record: ArchivedRecord): void {
    const values = valuesOf(record);
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (value === null) this.#appender.appendNull();
      else append[STORED_COLUMNS[i].type](this.#appender, value as never);
    }
    this.#appender.endRow();
    this.rows++;
  }

  /**
   * Writes the file, sorted, off the main thread; the records stay until `drop`.
   *
   * @param file a path of this machine
   */
  async write(file: string, range: FileRange): Promise<FileDescription> {
    this.#appender.flushSync();
    const connection = await this.#instance.connect();
    try {
      const written = { ...range, ...(await this.#summary(connection)) };
      await connection.run(
        `copy (${this.#select(range)}) to ${sqlText(file)} (
           ${FILE_OPTIONS},
           kv_metadata {${METADATA_KEY}: ${sqlText(JSON.stringify(written))}}
         )`,
      );
      return written;
    } finally {
      connection.closeSync();
    }
  }

  /** Frees the memory. */
  async drop(): Promise<void> {
    this.#appender.closeSync();
    try {
      await this.#appending.run(`drop table ${this.#table}`);
    } finally {
      this.#appending.closeSync();
    }
  }

  #select({ topic, partition, log }: FileRange): string {
    const computed: Record<string, string> = {
      day: DAY_SQL,
      bucket: BUCKET_SQL,
      work_id: 'coalesce(series_id, title_id)',
      topic: sqlText(topic),
      partition: `${partition}::INTEGER`,
      log: `${log}::INTEGER`,
    };
    const columns = COMPUTED_COLUMNS.map((name) => `${computed[name]} as ${name}`);
    return `select ${columns.join(', ')}, * from ${this.#table} order by ${FILE_ORDER}`;
  }

  async #summary(connection: DuckDBConnection) {
    const reader = await connection.runAndReadAll(
      `select ${DAY_SQL}::VARCHAR, count(*)::DOUBLE, min(event_time)::DOUBLE, max(event_time)::DOUBLE
       from ${this.#table} group by 1 order by 1`,
    );
    const days = reader.getRows() as [string, number, number, number][];
    return {
      rows: this.rows,
      minEventTime: days.length === 0 ? null : Math.min(...days.map(([, , min]) => min)),
      maxEventTime: days.length === 0 ? null : Math.max(...days.map(([, , , max]) => max)),
      days: Object.fromEntries(days.map(([day, rows]) => [day, rows])),
    };
  }
}

/** How each type is appended; `valuesOf` gives what its column's type says. */
const append: { [Type in ColumnType]: (appender: DuckDBAppender, value: never) => void } = {
  VARCHAR: (appender, value: string) => appender.appendVarchar(value),
  BIGINT: (appender, value: number) => appender.appendBigInt(BigInt(value)),
  INTEGER: (appender, value: number) => appender.appendInteger(value),
  DOUBLE: (appender, value: number) => appender.appendDouble(value),
  BOOLEAN: (appender, value: boolean) => appender.appendBoolean(value),
};
