import type { Pool } from '../../platform/postgres.ts';
import { withTransaction } from '../../platform/postgres.ts';

export interface NewCheckpoint {
  offsets: Record<string, number>;
  head: string;
  objects: readonly string[];
  records: number;
  bytes: number;
}

/**
 * Registers a checkpoint, and forgets all but this and the newest before it, while the task is of this epoch: its row stays
 * locked, so that whoever takes it reads what was registered before.
 *
 * @returns the storage keys that no checkpoint of the task needs any more; null where the task is another's by now
 */
export async function registerCheckpoint(
  pool: Pool,
  task: number,
  epoch: number,
  { offsets, head, objects, records, bytes }: NewCheckpoint,
): Promise<string[] | null> {
  return withTransaction(pool, async (client) => {
    const { rowCount } = await client.query(
      'select from whence.speed_tasks where task = $1 and epoch = $2 for no key update',
      [task, epoch],
    );
    if (rowCount !== 1) return null;
    await client.query(
      `insert into whence.speed_checkpoints (task, epoch, offsets, head, objects, records, bytes)
       values ($1, $2, $3, $4, $5, $6, $7)`,
      [task, epoch, JSON.stringify(offsets), head, objects, records, bytes],
    );
    const { rows: old } = await client.query<{ objects: string[] }>(
      `delete from whence.speed_checkpoints
       where task = $1 and checkpoint not in
         (select checkpoint from whence.speed_checkpoints where task = $1 order by checkpoint desc limit 2)
       returning objects`,
      [task],
    );
    const { rows: kept } = await client.query<{ objects: string[] }>(
      'select objects from whence.speed_checkpoints where task = $1',
      [task],
    );
    const needed = new Set(kept.flatMap((row) => row.objects));
    return [...new Set(old.flatMap((row) => row.objects))].filter((key) => !needed.has(key));
  });
}
