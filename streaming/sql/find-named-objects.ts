import type { Queryable } from '../../platform/postgres.ts';

/**
 * The storage keys that checkpoints of a task name, in one look with whose the task is.
 *
 * @returns null where it is not of this epoch any more
 */
export async function findNamedObjects(database: Queryable, task: number, epoch: number): Promise<Set<string> | null> {
  const { rows } = await database.query<{ objects: string[] | null }>(
    `select c.objects from whence.speed_tasks t left join whence.speed_checkpoints c using (task)
     where t.task = $1 and t.epoch = $2`,
    [task, epoch],
  );
  return rows.length === 0 ? null : new Set(rows.flatMap((row) => row.objects ?? []));
}
