import { prepared, type Queryable } from '../../platform/postgres.ts';
import type { StatementRunner } from '../../platform/statements.ts';
import type { Delta, TopicOffset } from '../task-state.ts';

export type Offsets = Record<string, TopicOffset>;

/** What Postgres says where the fence is closed (migration 0017). */
const CLOSED = 'WH001';

/**
 * The fence of a commit: moves the offsets on, if the task is still of this epoch and at the offsets that the delta was
 * computed from. The row stays locked until the transaction ends, so a take-over waits for it and then reads what it wrote.
 *
 * @throws what `isFenced` knows where the task is another's by now: nothing of the transaction can be committed
 */
export async function advanceTask(
  database: StatementRunner,
  task: number,
  epoch: number,
  from: Offsets,
  delta: Pick<Delta, 'offsets' | 'replay' | 'watermark'>,
): Promise<void> {
  await database.query(
    prepared('select whence.advance_task($1, $2, $3, $4, $5, to_timestamp($6::double precision / 1000))', [
      task,
      epoch,
      JSON.stringify(from),
      JSON.stringify(delta.offsets),
      JSON.stringify(delta.replay),
      delta.watermark,
    ]),
  );
}

export function isFenced(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === CLOSED;
}

/** Whether a commit whose answer was lost has happened all the same. */
export async function wasCommitted(database: Queryable, task: number, epoch: number, to: Offsets): Promise<boolean> {
  const { rowCount } = await database.query(
    'select from whence.speed_tasks where task = $1 and epoch = $2 and offsets = $3',
    [task, epoch, JSON.stringify(to)],
  );
  return rowCount === 1;
}
