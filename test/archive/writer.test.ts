import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FORMAT } from '../../archive/file.ts';
import { ArchiveWriter, type RecordBuffer } from '../../archive/writer.ts';
import { impression } from '../core/samples.ts';

let directory: string;
let writer: ArchiveWriter;
beforeAll(async () => {
  directory = await fs.mkdtemp(path.join(os.tmpdir(), 'whence-writer-'));
  writer = await ArchiveWriter.open(directory);
});
afterAll(async () => {
  writer.close();
  await fs.rm(directory, { recursive: true });
});

test('a file is begun while others are written', async () => {
  let full = await Promise.all(Array.from({ length: 8 }, () => writer.begin()));
  for (let round = 0; round < 20; round++) {
    for (const buffer of full) buffer.append({ offset: 0, stampedAt: 5, event: impression() });
    const begun: Promise<RecordBuffer>[] = [];
    const written = full.map(async (buffer, partition) => {
      begun.push(writer.begin());
      // While the table of the next is made, off this thread.
      await new Promise(setImmediate);
      const range = { format: FORMAT, topic: 'views', partition, log: 0, from: 0, to: 1, previous: null } as const;
      const file = path.join(directory, `${partition}.parquet`);
      const { rows } = await buffer.write(file, { ...range, after: { log: 0, offset: 0 }, createdAt: 1 });
      await buffer.drop();
      return rows;
    });
    expect(await Promise.all(written)).toEqual(full.map(() => 1));
    full = await Promise.all(begun);
  }
});
