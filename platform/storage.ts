import { randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';

/**
 * Whole objects by key: what a local directory and an object store can both do. A key is a relative path of segments of
 * letters, digits, `.`, `_`, `=` and `-`, none beginning with a dot. A reader sees an object whole or not at all, and once
 * a `put` has returned, the object survives the loss of power.
 */
export interface Storage {
  /**
   * @throws ObjectExistsError with `ifAbsent`, where there is one already; without, that is replaced
   */
  put(key: string, data: Uint8Array, options?: PutOptions): Promise<void>;
  /** The same for a file of this machine, which is gone afterwards. */
  putFile(key: string, file: string, options?: PutOptions): Promise<void>;
  /**
   * @throws NoSuchObjectError
   */
  get(key: string): Promise<Buffer>;
  /** The keys that begin with this text, in code unit order. */
  list(prefix: string): Promise<string[]>;
  /** Nothing happens where there is no such object. */
  delete(key: string): Promise<void>;
  exists(key: string): Promise<boolean>;
  /**
   * In bytes.
   *
   * @throws NoSuchObjectError
   */
  size(key: string): Promise<number>;
  /** Where people find the object: a path here, a URL in an object store. */
  locate(key: string): string;
  /** Lends objects as files of this machine, for a program such as DuckDB. */
  lend(): Lease;
}

/** An object to be lent. With its SHA-256 (hex) it may come from a cache, and is checked where it is fetched. */
export interface LentObject {
  key: string;
  sha256?: string;
}

/** Files of this machine that stay as they are until the lease ends. */
export interface Lease {
  /**
   * Their paths, in the same order.
   *
   * @throws NoSuchObjectError, DamagedObjectError
   */
  take(objects: readonly LentObject[]): Promise<string[]>;
  end(): Promise<void>;
}

/** Runs `work` with a lease, which ends with it. */
export async function withLease<Result>(storage: Storage, work: (lease: Lease) => Promise<Result>): Promise<Result> {
  const lease = storage.lend();
  try {
    return await work(lease);
  } finally {
    await lease.end();
  }
}

export interface PutOptions {
  ifAbsent?: boolean;
}

export class InvalidKeyError extends Error {
  override readonly name = 'InvalidKeyError';
  constructor(key: string) {
    super(
      `${JSON.stringify(key)} is no storage key: expected segments of letters, digits, ".", "_", "=" and "-", ` +
        'separated by "/", none beginning with a dot',
    );
  }
}

export class NoSuchObjectError extends Error {
  override readonly name = 'NoSuchObjectError';
  constructor(key: string, root: string) {
    super(`There is no object ${key} in ${root}`);
  }
}

export class ObjectExistsError extends Error {
  override readonly name = 'ObjectExistsError';
  constructor(key: string, root: string) {
    super(`There is an object ${key} in ${root} already`);
  }
}

/** What was fetched is not what was published. */
export class DamagedObjectError extends Error {
  override readonly name = 'DamagedObjectError';
  constructor(key: string, root: string, found: string, expected: string) {
    super(
      `The object ${key} in ${root} has the SHA-256 ${found}, expected ${expected}; restore it from a backup, or an earlier ` +
        'version of the bucket',
    );
  }
}

/** @throws InvalidKeyError */
export function checkKey(key: string): void {
  if (!KEY.test(key)) throw new InvalidKeyError(key);
}

/** Objects being written; no key begins with a dot. */
const INCOMING = '.incoming';
const LEFTOVER_AGE_MS = 24 * 3_600_000;
const KEY = /^[A-Za-z0-9_=-][A-Za-z0-9._=-]*(\/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)*$/;

/**
 * Opens the storage in a local directory, made if missing. What writers that were killed left unfinished more than a day
 * ago is removed.
 */
export async function openLocalStorage(directory: string): Promise<Storage> {
  const root = path.resolve(directory);
  const incoming = path.join(root, INCOMING);
  await makeFolder(incoming);
  await removeLeftovers(incoming);

  const locate = (key: string) => {
    checkKey(key);
    return path.join(root, key);
  };
  const place = async (key: string, aside: string, { ifAbsent = false }: PutOptions) => {
    const target = locate(key);
    await makeFolder(path.dirname(target));
    if (ifAbsent) {
      await fs.link(aside, target).catch((error: NodeJS.ErrnoException) => {
        throw error.code === 'EEXIST' ? new ObjectExistsError(key, root) : error;
      });
    } else {
      await fs.rename(aside, target);
    }
    await sync(path.dirname(target));
  };
  const missing = (key: string) => (error: NodeJS.ErrnoException) => {
    throw error.code === 'ENOENT' ? new NoSuchObjectError(key, root) : error;
  };

  return {
    locate,
    lend: () => ({ take: async (objects) => objects.map(({ key }) => locate(key)), end: async () => {} }),
    async put(key, data, options = {}) {
      locate(key);
      const aside = path.join(incoming, randomUUID());
      try {
        await fs.writeFile(aside, data, { flag: 'wx', flush: true });
        await place(key, aside, options);
      } finally {
        await fs.rm(aside, { force: true });
      }
    },
    async putFile(key, file, options = {}) {
      locate(key);
      const aside = path.join(incoming, randomUUID());
      try {
        await moveFile(file, aside);
        await sync(aside);
        await place(key, aside, options);
      } finally {
        await fs.rm(aside, { force: true });
      }
    },
    get: async (key) => fs.readFile(locate(key)).catch(missing(key)),
    async list(prefix) {
      const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
      if (folder !== '') locate(folder.slice(0, -1));
      const keys = await walk(path.join(root, folder), folder);
      return keys.filter((key) => key.startsWith(prefix)).sort();
    },
    async delete(key) {
      const target = locate(key);
      try {
        await fs.unlink(target);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
        throw error;
      }
      await sync(path.dirname(target));
    },
    async exists(key) {
      const found = await fs.stat(locate(key)).catch(() => null);
      return found?.isFile() ?? false;
    },
    size: async (key) => (await fs.stat(locate(key)).catch(missing(key))).size,
  };
}

async function walk(folder: string, prefix: string): Promise<string[]> {
  const entries = await fs.readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
    throw error;
  });
  const keys = entries
    .filter((entry) => !entry.name.startsWith('.'))
    .map(async (entry) => {
      const key = prefix + entry.name;
      return entry.isDirectory() ? walk(path.join(folder, entry.name), `${key}/`) : [key];
    });
  return (await Promise.all(keys)).flat();
}

/** By rename, or, from another file system, by copy. */
async function moveFile(from: string, to: string): Promise<void> {
  try {
    await fs.rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    await fs.copyFile(from, to);
    await fs.rm(from);
  }
}

/** Makes a folder and those above it, each lasting: a new folder is an entry of its parent, which must reach the disk. */
async function makeFolder(folder: string): Promise<void> {
  const first = await fs.mkdir(folder, { recursive: true });
  if (first === undefined) return;
  for (let made = folder; made.length >= first.length; made = path.dirname(made)) await sync(path.dirname(made));
}

async function sync(file: string): Promise<void> {
  const handle = await fs.open(file, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function removeLeftovers(incoming: string): Promise<void> {
  for (const name of await fs.readdir(incoming)) {
    const file = path.join(incoming, name);
    const found = await fs.stat(file).catch(() => null);
    if (found !== null && Date.now() - found.mtimeMs > LEFTOVER_AGE_MS) await fs.rm(file, { force: true });
  }
}
