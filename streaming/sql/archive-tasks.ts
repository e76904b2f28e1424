import type { LogPlace } from '../../archive/file.ts';
import { timeOf } from '../../archive/manifest.ts';
import type { Queryable } from '../../platform/postgres.ts';
import type { TopicOffset } from '../task-state.ts';

export type RecordMark = NonNullable<TopicOffset['last']>;

export interface TakenArchiveTask {
  task: number;
  epoch: number;
  log: number;
  next_offset: number;
  last: RecordMark | null;
  last_path: string | null;
}

/**
 * Takes the archiving of a topic-partition: from here on whoever had it before can commit nothing. One statement bumps the
 * epoch and reads the offset, so no commit of the former owner can come between.
 */
export async function takeArchiveTask(
  database: Queryable,
  topic: string,
  partition: number,
): Promise<TakenArchiveTask> {
  const { rows } = await database.query<TakenArchiveTask>(
    `insert into whence.archive_tasks as t (topic, partition, epoch) values ($1, $2, 1)
     on conflict (topic, partition) do update set epoch = t.epoch + 1
     returning task, epoch, log, next_offset, last, last_path`,
    [topic, partition],
  );
  return rows[0];
}

/** Who commits, and from where. */
export interface ArchiveFence {
  task: number;
  epoch: number;
  at: LogPlace;
}

export interface ArchiveAdvance {
  to: LogPlace;
  last: RecordMark | null;
  path: string;
  /** Epoch milliseconds; null where no event was archived. */
  maxEventTime: number | null;
}

/**
 * The fence of a commit: moves the task on, if it is still of this epoch and at this place. The row stays locked until the
 * transaction ends.
 *
 * @returns false where the task is another's by now: nothing of the transaction may be committed
 */
export async function advanceArchiveTask(
  database: Queryable,
  { task, epoch, at }: ArchiveFence,
  { to, last, path, maxEventTime }: ArchiveAdvance,
): Promise<boolean> {
  const { rowCount } = await database.query(
    `update whence.archive_tasks
     set log = $5, next_offset = $6, last = $7, last_path = $8, committed_at = now(), quiet_since = null, end_seen_at = null,
       greatest_event_time = greatest(greatest_event_time, ${timeOf('$9')})
     where task = $1 and epoch = $2 and log = $3 and next_offset = $4`,
    [task, epoch, at.log, at.offset, to.log, to.offset, last && JSON.stringify(last), path, maxEventTime],
  );
  return rowCount === 1;
}

/**
 * Notes that the log was seen to end where the archive does. It can only grow, so where it is seen to end at the same offset
 * twice, nothing came in between.
 *
 * @param ageMs how long ago it was asked for its end
 */
export async function noteEnd(database: Queryable, { task, epoch, at }: ArchiveFence, ageMs: number): Promise<void> {
  await database.query(
    `update whence.archive_tasks
     set quiet_since = coalesce(quiet_since, now()), end_seen_at = now() - make_interval(secs => $5::double precision / 1000)
     where task = $1 and epoch = $2 and log = $3 and next_offset = $4`,
    [task, epoch, at.log, at.offset, ageMs],
  );
}

/** Has whoever archives these topic-partitions not wait for company once it is there. */
export async function wantArchived(
  database: Queryable,
  wanted: readonly { topic: string; partition: number; log: number; next: number }[],
): Promise<void> {
  await database.query(
    `insert into whence.archive_tasks as t (topic, partition, epoch, wanted_log, wanted_offset)
     select topic, partition, 0, log, next
     from jsonb_to_recordset($1) as w (topic text, partition integer, log integer, next bigint)
     order by topic, partition
     on conflict (topic, partition) do update set
       wanted_log = excluded.wanted_log, wanted_offset = excluded.wanted_offset`,
    [JSON.stringify(wanted)],
  );
}

/** What is waited for and not yet archived. */
export async function readWanted(
  database: Queryable,
): Promise<{ topic: string; partition: number; wanted_offset: number }[]> {
  const { rows } = await database.query<{ topic: string; partition: number; wanted_offset: number }>(
    `select topic, partition, wanted_offset from whence.archive_tasks
     where (wanted_log, wanted_offset) > (log, next_offset)`,
  );
  return rows;
}
