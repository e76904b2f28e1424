import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import fs from 'node:fs/promises';
import path from 'node:path';
import { version as duckdbVersion } from '@duckdb/node-api';
import { z } from 'zod';
import { ROOT } from '../../platform/root.ts';

/** All that decides which rows there are and what they hold. */
const FOLDERS = ['archive', 'attribution', 'batch'];

export const codeVersionSchema = z.strictObject({
  /** SHA-256 of the sources that decide what is written. */
  sources: z.string(),
  duckdb: z.string(),
  apacheArrow: z.string(),
});
/** What wrote a dataset, beside its pins. Files are the same bytes where it is the same. */
export type CodeVersion = z.output<typeof codeVersionSchema>;

let known: Promise<CodeVersion> | undefined;

/** Of this process: read once, since its code is what it was at its start. */
export function codeVersion(): Promise<CodeVersion> {
  return (known ??= readVersion());
}

async function readVersion(): Promise<CodeVersion> {
  const hash = createHash('sha256');
  for (const folder of FOLDERS) {
    const names = await fs.readdir(path.join(ROOT, folder), { recursive: true });
    const sources = names
      .map((name) => path.posix.join(folder, ...name.split(path.sep)))
      .filter((name) => /\.(ts|json)$/.test(name))
      .sort();
    for (const name of sources)
      hash
        .update(`${name}\0`)
        .update(await fs.readFile(path.join(ROOT, name)))
        .update('\0');
  }
  return { sources: hash.digest('hex'), duckdb: duckdbVersion(), apacheArrow: await versionOfArrow() };
}

/** Its package.json is none of its exports, but lies beside its main module. */
async function versionOfArrow(): Promise<string> {
  const main = createRequire(import.meta.url).resolve('apache-arrow');
  const text = await fs.readFile(path.join(path.dirname(main), 'package.json'), 'utf8');
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version;
}
