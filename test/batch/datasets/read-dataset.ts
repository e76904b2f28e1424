/** Datasets of little worlds, built here and read back as plain rows. */

import fs from 'node:fs/promises';
import path from 'node:path';
import { tableFromIPC } from 'apache-arrow';
import type { BatchDeps } from '../../../batch/advance.ts';
import type { BeginDatasetOptions, BeginDatasetRequest } from '../../../batch/datasets/begin-dataset.ts';
import { buildHere } from '../../../batch/datasets/build-here.ts';
import type { DatasetRequest } from '../../../batch/datasets/request.ts';
import type { Counts } from '../../../batch/datasets/key-examples.ts';
import type { Example } from '../../../batch/datasets/schema.ts';

export interface BuiltDataset {
  path: string;
  manifestSha256: string;
  counts: Counts;
  rows: Example[];
}

export const by = { owner: 'test', actor: 'test' };

/** Builds, publishes and reads a dataset; small shards, so that there are several. */
export async function buildAndRead(
  deps: BatchDeps,
  request: DatasetRequest,
  options: BeginDatasetOptions = { recordsAShard: 12 },
): Promise<BuiltDataset> {
  const asked: BeginDatasetRequest = { ...request, ...by };
  const { path, manifestSha256, counts } = await buildHere(deps, asked, options);
  return { path, manifestSha256, counts, rows: await readRows(path) };
}

/** The rows of a dataset's Arrow files, in their order. */
export async function readRows(folder: string): Promise<Example[]> {
  const rows: Example[] = [];
  for (const [name, bytes] of await readFiles(folder)) {
    if (!name.endsWith('.arrow')) continue;
    for (const row of tableFromIPC(bytes)) {
      const values = Object.entries(row?.toJSON() ?? {}).map(([column, value]: [string, unknown]) => [
        column,
        typeof value === 'bigint' ? Number(value) : value,
      ]);
      rows.push(Object.fromEntries(values) as Example);
    }
  }
  return rows;
}

/** The files of a dataset by name, in order. */
export async function readFiles(folder: string): Promise<Map<string, Buffer>> {
  const names = (await fs.readdir(folder)).sort();
  return new Map(
    await Promise.all(names.map(async (name) => [name, await fs.readFile(path.join(folder, name))] as const)),
  );
}
