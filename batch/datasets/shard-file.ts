import { createArrowFile } from './arrow-file.ts';
import { createParquetFile } from './parquet-file.ts';
import type { DatasetFormat } from './request.ts';
import type { Example } from './schema.ts';

/** A file of examples that is being written: aside, by rows in their order. The same rows give the same bytes. */
export interface ShardFile {
  add(example: Example): void;
  /** To be called now and then: waits until what was added needs little memory. */
  drain(): Promise<void>;
  /** The file is whole when this returns. */
  finish(): Promise<void>;
  /** Lets go of what it holds, finished or not. */
  close(): Promise<void>;
}

export interface ShardFileOptions {
  /** A path of this machine. */
  file: string;
  /** By column: the texts of each category, in order of their bytes. */
  categories: ReadonlyMap<string, readonly string[]>;
  /** A folder of this machine, for what does not fit in memory. */
  scratch: string;
  memoryLimit?: string;
}

export const EXTENSIONS: Readonly<Record<DatasetFormat, string>> = { arrow: 'arrow', parquet: 'parquet' };

const CREATE = { arrow: createArrowFile, parquet: createParquetFile } as const;

export async function createShardFile(format: DatasetFormat, options: ShardFileOptions): Promise<ShardFile> {
  return CREATE[format](options);
}
