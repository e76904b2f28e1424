import type { Storage } from '../../platform/storage.ts';

/** Objects in memory, with what checkpoints ask of a storage. */
export function memoryStorage(objects = new Map<string, Buffer>()): { objects: Map<string, Buffer>; storage: Storage } {
  const storage = {
    put: (key: string, data: Uint8Array) => Promise.resolve(void objects.set(key, Buffer.from(data))),
    get: (key: string) => Promise.resolve(objects.get(key) ?? Buffer.alloc(0)),
  };
  return { objects, storage: storage as unknown as Storage };
}
