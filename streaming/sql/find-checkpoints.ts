import type { Queryable } from '../../platform/postgres.ts';

/** A checkpoint as Postgres knows it. */
export interface CheckpointRow {
  checkpoint: number;
  epoch: number;
  /** Storage keys: what is read first, and all that it needs. */
  head: string;
  objects: string[];
  records: number;
}

/** The checkpoints of a task, the newest first. */
export async function findCheckpoints(database: Queryable, task: number): Promise<CheckpointRow[]> {
  const { rows } = await database.query<CheckpointRow>(
    `select checkpoint, epoch, head, objects, records from whence.speed_checkpoints where task = $1
     order by checkpoint desc`,
    [task],
  );
  return rows;
}
