import type { Queryable } from '../../platform/postgres.ts';
import type { ReplayPoint } from '../replay-marks.ts';
import type { TopicOffset } from '../task-state.ts';

export interface TakenTask {
  epoch: number;
  offsets: Record<string, TopicOffset>;
  replay: Record<string, ReplayPoint>;
}

/**
 * Takes a task: from here on whoever had it before can commit nothing. One statement bumps the epoch and reads the offsets,
 * so no commit of the former owner can come between.
 *
 * @param finalAfterMs how long after its last event a play is final
 */
export async function takeTask(database: Queryable, task: number, finalAfterMs: number): Promise<TakenTask> {
  const { rows } = await database.query<TakenTask>(
    `insert into whence.speed_tasks as t (task, epoch, final_after)
     values ($1, 1, make_interval(secs => $2))
     on conflict (task) do update set epoch = t.epoch + 1, final_after = excluded.final_after
     returning epoch, offsets, replay`,
    [task, finalAfterMs / 1000],
  );
  return rows[0];
}
