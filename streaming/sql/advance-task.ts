import { hasSqlState } from '../../platform/passing.ts';
import { prepared, type Queryable } from '../../platform/postgres.ts';
import type { StatementRunner } from '../../platform/statements.ts';
import type { Delta, TopicOffset } from '../task-state.ts';

export type Offsets = Record<string, TopicOffset>;

/** What Postgres says where the fence is closed (migration 0017). */
const CLOSED = 'WH001';

/** What a task commits. */
export interface Commit {
  task: number;
  epoch: number;
  /** The offsets that the delta was computed from. */
  from: Offsets;
  delta: Delta;
}

/**
 * The fence of some commits: moves the offsets of each task on, if it is still of this epoch and at the offsets that the delta was
 * computed from. The rows stay locked until the transaction ends, so a take-over waits for it and then reads what it wrote.
 *
 * @param commits in the order of their tasks: whoever locks several does so in one order
 * @throws what `isFenced` knows where one of the tasks is another's by now: nothing of the transaction can be committed
 */
export async function advanceTasks(database: StatementRunner, commits: readonly Commit[]): Promise<void> {
  const rows = commits.map(({ task, epoch, from, delta: { offsets: to, replay, watermark } }) => {
    return { task, epoch, from, to, replay, watermark };
  });
  await database.query(
    prepared(
      `select whence.advance_task(c.task, c.epoch, c."from", c."to", c.replay, to_timestamp(c.watermark / 1000))
       from json_to_recordset($1) as c (
         task integer, epoch bigint, "from" jsonb, "to" jsonb, replay jsonb, watermark double precision
       )`,
      [JSON.stringify(rows)],
    ),
  );
}

export function isFenced(error: unknown): boolean {
  return hasSqlState(error, CLOSED);
}

/** Whether a commit whose answer was lost has happened all the same. */
export async function wasCommitted(database: Queryable, task: number, epoch: number, to: Offsets): Promise<boolean> {
  const { rowCount } = await database.query(
    'select from whence.speed_tasks where task = $1 and epoch = $2 and offsets = $3',
    [task, epoch, JSON.stringify(to)],
  );
  return rowCount === 1;
}
