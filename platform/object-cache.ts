import { randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import type { Lease, LentObject } from './storage.ts';

/** What is kept in the cache has this name; files that are being fetched have others. */
const SHA256 = /^[0-9a-f]{64}$/;
const LEASES = 'leases';
const ABANDONED_AFTER_MS = 24 * 3_600_000;
/** Fetched at once. */
const AT_ONCE = 4;

export interface ObjectCacheOptions {
  /** A folder of this machine; several processes may share it. */
  directory: string;
  /** What is kept beyond what is lent; what was not used for the longest time goes first. */
  maxBytes: number;
  /**
   * Writes the object to the file, and makes sure that it is what was asked for.
   *
   * @throws NoSuchObjectError, DamagedObjectError
   */
  fetch(object: LentObject, file: string): Promise<void>;
}

/**
 * Keeps objects that were fetched, by their checksums: whatever their keys, and for as long as there is room. What is lent is a
 * further link to the file, which stays when the cache lets go of it: no process needs to know what another is reading.
 */
export class ObjectCache {
  readonly #options: ObjectCacheOptions;
  /** Of this process: two units that want the same file fetch it once. */
  readonly #fetching = new Map<string, Promise<void>>();

  private constructor(options: ObjectCacheOptions) {
    this.#options = options;
  }

  /** Makes the folder where it is missing; what processes that were killed left a day ago is removed. */
  static async open(options: ObjectCacheOptions): Promise<ObjectCache> {
    const leases = path.join(options.directory, LEASES);
    await fs.mkdir(leases, { recursive: true });
    const left = await fs.readdir(leases);
    for (const folder of left.map((name) => path.join(leases, name))) {
      const found = await fs.stat(folder).catch(() => null);
      if (found !== null && Date.now() - found.mtimeMs > ABANDONED_AFTER_MS) {
        await fs.rm(folder, { recursive: true, force: true });
      }
    }
    return new ObjectCache(options);
  }

  lend(): Lease {
    const folder = path.join(this.#options.directory, LEASES, randomUUID());
    const lent = new Map<string, Promise<string>>();
    const lendOne = async (object: LentObject): Promise<string> => {
      await fs.mkdir(folder, { recursive: true });
      const file = path.join(folder, `${randomUUID()}${path.extname(object.key)}`);
      if (object.sha256 === undefined) await this.#options.fetch(object, file);
      else await this.#link(object, object.sha256, file);
      return file;
    };
    return {
      take: async (objects) => {
        const paths: string[] = [];
        for (let i = 0; i < objects.length; i += AT_ONCE) {
          const some = objects.slice(i, i + AT_ONCE).map((object) => {
            const known = lent.get(object.key) ?? lendOne(object);
            lent.set(object.key, known);
            return known;
          });
          paths.push(...(await Promise.all(some)));
        }
        return paths;
      },
      end: async () => {
        await Promise.allSettled(lent.values());
        await fs.rm(folder, { recursive: true, force: true });
      },
    };
  }

  /** Links a cached file to `file`, fetching it where it is not there, or another process just let go of it. */
  async #link(object: LentObject, sha256: string, file: string): Promise<void> {
    const kept = path.join(this.#options.directory, sha256);
    for (;;) {
      try {
        await fs.link(kept, file);
        const now = new Date();
        await fs.utimes(file, now, now);
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
      const fetching =
        this.#fetching.get(sha256) ?? this.#fetch(object, kept).finally(() => this.#fetching.delete(sha256));
      this.#fetching.set(sha256, fetching);
      await fetching;
      // Linked at once, before anything else can have made room.
    }
  }

  async #fetch(object: LentObject, kept: string): Promise<void> {
    const aside = path.join(this.#options.directory, LEASES, `${randomUUID()}.partial`);
    try {
      await this.#options.fetch(object, aside);
      await fs.rename(aside, kept);
    } finally {
      await fs.rm(aside, { force: true });
    }
    await this.#makeRoom(kept);
  }

  async #makeRoom(newest: string): Promise<void> {
    const { directory, maxBytes } = this.#options;
    const names = (await fs.readdir(directory)).filter((name) => SHA256.test(name));
    const found = await Promise.all(
      names.map(async (name) => {
        const file = path.join(directory, name);
        const stat = await fs.stat(file).catch(() => null);
        return stat === null ? [] : [{ file, bytes: stat.size, usedAt: stat.mtimeMs }];
      }),
    );
    // The newest stays until it is lent, whatever its size: else it would be fetched for ever. The others share what it leaves; clocks of
    // file systems are coarse, so that one may seem to have been used after it.
    const files = found.flat();
    let bytes = files.find(({ file }) => file === newest)?.bytes ?? 0;
    const others = files.filter(({ file }) => file !== newest);
    for (const each of others.sort((a, b) => b.usedAt - a.usedAt)) {
      bytes += each.bytes;
      if (bytes > maxBytes) await fs.rm(each.file, { force: true });
    }
  }
}
