/** The storages that tests run on: a folder, and a bucket of a real server. */

import path from 'node:path';
import { openStorage } from '../platform/open-storage.ts';
import { readSettings } from '../platform/settings.ts';
import type { Storage } from '../platform/storage.ts';
import { hasObjectStore, type ObjectStore, startObjectStore } from './object-store.ts';

export type StorageKind = 'folder' | 'bucket';
/** For `describe.skipIf`: without the server a test is skipped, not passed. */
export const isMissing = (kind: StorageKind) => kind === 'bucket' && !hasObjectStore();
export const STORAGES: readonly StorageKind[] = ['folder', 'bucket'];

let buckets = 0;

/** Opens empty storages of a kind. */
export class StorageGround {
  readonly #store: ObjectStore | null;

  private constructor(store: ObjectStore | null) {
    this.#store = store;
  }

  static async open(kind: StorageKind): Promise<StorageGround> {
    return new StorageGround(kind === 'bucket' ? await startObjectStore() : null);
  }

  /** What an environment needs beside WHENCE_DATA_DIR. */
  async env(): Promise<Record<string, string>> {
    return (await this.#store?.createBucket(`bucket-${++buckets}`)) ?? {};
  }

  /** @param directory holds the objects, or the cache of them */
  async openStorage(directory: string, env?: Record<string, string>): Promise<Storage> {
    return openStorage(readSettings({ ...(env ?? (await this.env())), WHENCE_DATA_DIR: path.join(directory, 'data') }));
  }

  async stop(): Promise<void> {
    await this.#store?.stop();
  }
}
