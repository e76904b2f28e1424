import type { Queryable } from '../platform/postgres.ts';

export interface TaskStatus {
  /** The partition number. */
  task: number;
  /** How often the task was taken. */
  epoch: number;
  committed_at: Date;
  watermark: Date | null;
}

export interface StreamTotals {
  plays: number;
  final: number;
  provisional: number;
  dead_letters: number;
  /** Of these, not yet on the dead-letter topic. */
  unrelayed: number;
}

export async function readTasks(database: Queryable): Promise<TaskStatus[]> {
  const { rows } = await database.query<TaskStatus>(
    'select task, epoch, committed_at, watermark from whence.speed_tasks order by task',
  );
  return rows;
}

export async function readTotals(database: Queryable): Promise<StreamTotals> {
  const { rows } = await database.query<StreamTotals>(
    `select p.*, d.* from (
       select count(*) as plays, count(*) filter (where state = 'final') as final,
         count(*) filter (where state = 'provisional') as provisional
       from whence.plays
     ) p cross join (
       select count(*) as dead_letters, count(*) filter (where relayed_at is null) as unrelayed from whence.dead_letters
     ) d`,
  );
  return rows[0];
}
