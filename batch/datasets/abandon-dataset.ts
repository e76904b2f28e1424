import type { BatchDeps } from '../advance.ts';
import { withTransaction } from '../../platform/postgres.ts';

/** Gives a build up, with the shards that it has. Nothing happens where it was published, or is gone. */
export async function abandonDataset(
  { pool, storage }: Pick<BatchDeps, 'pool' | 'storage'>,
  build: number,
): Promise<void> {
  await withTransaction(pool, async (client) => {
    const { rows } = await client.query<{ folder: string }>(
      `delete from whence.dataset_builds where build = $1 and status = 'building' returning folder`,
      [build],
    );
    // Before the name can be another build's: whoever takes the version again waits for this to end.
    for (const { folder } of rows) for (const key of await storage.list(folder)) await storage.delete(key);
  });
}
