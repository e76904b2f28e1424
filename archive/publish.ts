import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Storage } from '../platform/storage.ts';
import { type ArchiveFile, type FileDescription, newFileKey } from './file.ts';
import type { FileRange, RecordBuffer } from './writer.ts';

export interface ArchivePlaces {
  storage: Storage;
  /** What the keys begin with; see `prefixOf`. */
  prefix: string;
  /** A folder of this machine, for files while they are written. */
  scratch: string;
}

/** Writes what was gathered as a file of the archive; see `publish`. */
export function publishFile(places: ArchivePlaces, buffer: RecordBuffer, range: FileRange): Promise<ArchiveFile> {
  return publish(places, (aside) => buffer.write(aside, range));
}

/**
 * Writes a file of the archive: aside first, then published whole under a key of its own. Nobody reads it before the manifest
 * names it.
 */
export async function publish(
  { storage, prefix, scratch }: ArchivePlaces,
  write: (aside: string) => Promise<FileDescription>,
): Promise<ArchiveFile> {
  const aside = path.join(scratch, `${randomUUID()}.parquet`);
  try {
    const description = await write(aside);
    const { size: bytes } = await fs.stat(aside);
    const sha256 = await sha256Of(aside);
    const key = newFileKey(prefix, description);
    await storage.putFile(key, aside, { ifAbsent: true });
    return { ...description, path: key, bytes, sha256 };
  } finally {
    await fs.rm(aside, { force: true });
  }
}

/** In hex. */
export async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
