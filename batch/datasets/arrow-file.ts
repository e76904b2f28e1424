import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { pipeline } from 'node:stream/promises';
import { makeData, RecordBatch, RecordBatchFileWriter, Struct } from 'apache-arrow';
import { type ArrowColumn, arrowColumns, arrowSchema } from './arrow-columns.ts';
import { COLUMNS, type Example } from './schema.ts';
import type { ShardFile, ShardFileOptions } from './shard-file.ts';

/** Rows of a record batch: what is held in memory. */
export const ROWS_A_BATCH = 16_384;

/**
 * An Arrow IPC file. Not compressed: apache-arrow 21.2 writes a length before uncompressed buffers that pyarrow rejects.
 */
export async function createArrowFile({ file, categories }: ShardFileOptions): Promise<ShardFile> {
  const columns = arrowColumns(categories, ROWS_A_BATCH);
  const schema = arrowSchema(columns);
  const writer = new RecordBatchFileWriter();
  const stream = writer.toNodeStream();
  const out = createWriteStream(file);
  const written = pipeline(stream, out);
  // Whoever drains or finishes is told; until then it is nobody's unhandled rejection.
  written.catch(() => {});
  let rows = 0;
  let batches = 0;
  const flush = () => {
    const children = columns.map((column: ArrowColumn) => column.take());
    const data = makeData({ type: new Struct(schema.fields), length: rows, nullCount: 0, children });
    writer.write(new RecordBatch(schema, data));
    rows = 0;
    batches++;
  };
  return {
    add(example: Example) {
      for (let i = 0; i < COLUMNS.length; i++) columns[i].add(example[COLUMNS[i].name]);
      if (++rows === ROWS_A_BATCH) flush();
    },
    async drain() {
      // The stream takes what the writer holds when it comes to its turn; a slow disk is waited for.
      await setImmediate();
      if (out.writableNeedDrain) await once(out, 'drain');
    },
    async finish() {
      // A file without rows has a batch too, for its schema.
      if (rows > 0 || batches === 0) flush();
      writer.finish();
      await written;
    },
    async close() {
      // Aborting the writer would not end the stream of one that wrote nothing.
      stream.destroy();
      await written.catch(() => {});
    },
  };
}
