import type { Queryable } from '../../platform/postgres.ts';

/** Forgets a checkpoint that cannot be used any more, so that it is not one of the two that are kept. */
export async function forgetCheckpoint(database: Queryable, checkpoint: number): Promise<void> {
  await database.query('delete from whence.speed_checkpoints where checkpoint = $1', [checkpoint]);
}

/** Forgets all of a task. */
export async function forgetCheckpoints(database: Queryable, task: number): Promise<void> {
  await database.query('delete from whence.speed_checkpoints where task = $1', [task]);
}
