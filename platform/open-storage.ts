import path from 'node:path';
import type { Settings } from './settings.ts';
import { openLocalStorage, type Storage } from './storage.ts';

/**
 * Opens the storage of the settings: a bucket, or the local folder of the data.
 *
 * @throws BucketError
 */
export async function openStorage({ dataDir, s3 }: Pick<Settings, 'dataDir' | 's3'>): Promise<Storage> {
  if (s3 === null) return openLocalStorage(dataDir);
  // Its client is large: who has no bucket does not load it.
  const { openS3Storage } = await import('./s3-storage.ts');
  return openS3Storage({ ...s3, cacheDirectory: path.join(dataDir, 'cache') });
}
