import { prepared, type Queryable } from '../../platform/postgres.ts';
import type { Delta, TopicOffset } from '../task-state.ts';

export type Offsets = Record<string, TopicOffset>;

/**
 * The fence of a commit: moves the offsets on, if the task is still of this epoch and at the offsets that the delta was
 * computed from. The row stays locked until the transaction ends, so a take-over waits for it and then reads what it wrote.
 *
 * @returns false where the task is another's by now: nothing of the transaction may be committed
 */
export async function advanceTask(
  database: Queryable,
  task: number,
  epoch: number,
  from: Offsets,
  delta: Pick<Delta, 'offsets' | 'replay' | 'watermark'>,
): Promise<boolean> {
  const { rowCount } = await database.query(
    prepared(
      `update whence.speed_tasks
     set offsets = $4, replay = $5, watermark = to_timestamp($6::double precision / 1000), committed_at = now()
     where task = $1 and epoch = $2 and offsets = $3`,
      [task, epoch, JSON.stringify(from), JSON.stringify(delta.offsets), JSON.stringify(delta.replay), delta.watermark],
    ),
  );
  return rowCount === 1;
}

/** Whether a commit whose answer was lost has happened all the same. */
export async function wasCommitted(database: Queryable, task: number, epoch: number, to: Offsets): Promise<boolean> {
  const { rowCount } = await database.query(
    'select from whence.speed_tasks where task = $1 and epoch = $2 and offsets = $3',
    [task, epoch, JSON.stringify(to)],
  );
  return rowCount === 1;
}
