import { utcDay } from '../../attribution/time.ts';
import { ownCommit } from '../../merge/locks.ts';
import { type PoolClient, withTransaction } from '../../platform/postgres.ts';
import type { BatchDeps } from '../advance.ts';
import { deleteRows, measureRows } from './delete-rows.ts';
import { type PruneStep, type Removed, type Retention, seconds } from './retention.ts';

export interface RemovedSpeedPlays extends Removed {
  /** That were settled now, in order. */
  days: string[];
  /** Why the next day that is old enough cannot be settled yet; null where there is none. */
  heldBack: string | null;
}

interface Options {
  dryRun: boolean;
  onStep: (step: PruneStep) => void | Promise<void>;
}

const endDay = (play: string) => `((${play}.ended_at at time zone 'UTC')::date)`;
const daysOf = (play: string) =>
  `generate_series(${play}.day::timestamp, ${endDay(play)}::timestamp, interval '1 day') d (day)`;
const isInAllCovered = (play: string) =>
  `(select count(*) from all_covered c where c.day between ${play}.day and ${endDay(play)}) > ${endDay(play)} - ${play}.day`;
/** An hour more than the rules say, for days that are long over anyhow. */
const SLACK = `interval '1 hour'`;

/**
 * Settles days that are old enough and that every kept version covers for good, then removes the speed plays that lie wholly in
 * such days. What is served stays as it is: see `findUnsettled` for what a day must be.
 */
export async function pruneSpeedPlays(
  { pool }: BatchDeps,
  { speedPlays }: Retention,
  { dryRun, onStep }: Options,
): Promise<RemovedSpeedPlays> {
  const before = utcDay(Math.max(0, Date.now() - Math.min(speedPlays, Date.now())));
  const settled = await withTransaction(pool, async (client) => {
    // Neither a commit nor a rollback nor another retention meanwhile: the versions that are kept stay the same.
    await ownCommit(client);
    const days = await settle(client, before, speedPlays);
    if (!dryRun) return { ...days, removed: null };
    const removed = await measureRows(client, GONE);
    await client.query('delete from whence.settled_days where day = any ($1::date[])', [days.days]);
    return { ...days, removed };
  });
  const { days, heldBack, removed } = settled;
  if (removed !== null) return { days, heldBack, ...removed };
  await onStep('days settled');
  const gone = await deleteRows(pool, GONE);
  await onStep('speed plays');
  return { days, heldBack, ...gone };
}

/** Speed plays that `whence.speed_now` does not have any more. */
const GONE = {
  table: 'whence.speed_plays',
  where: `r.day in (select day from whence.settled_days) and (${endDay('r')} = r.day or (
    select count(*) from whence.settled_days e where e.day between r.day and ${endDay('r')}
  ) > ${endDay('r')} - r.day)`,
};

async function settle(
  client: PoolClient,
  before: string,
  age: number,
): Promise<{ days: string[]; heldBack: string | null }> {
  const none = { days: [], heldBack: null };
  await client.query(
    `create temp table kept_versions on commit drop as
     select version, positions from whence.batch_versions where removed_at is null`,
  );
  await client.query(
    `create temp table all_covered on commit drop as
     select c.day from whence.batch_days c join kept_versions v
       on c.from_version <= v.version and (c.to_version is null or c.to_version > v.version)
     group by c.day having count(*) = (select count(*) from kept_versions)`,
  );
  await client.query('create unique index on all_covered (day)');
  const { rowCount } = await client.query(
    `create temp table candidates on commit drop as
     select day from all_covered
     -- What comes late for it must not reach into a day that is not covered: its plays would be nobody's.
     where day - 1 in (select day from all_covered) and day + 1 in (select day from all_covered)
       and day < $1::date and day not in (select day from whence.settled_days)`,
    [before],
  );
  if (rowCount === 0) return none;
  for (const table of ['all_covered', 'candidates']) await client.query(`analyze ${table}`);
  const reached = await readReached(client, age);
  await findUnsettled(client, reached.time);
  const { rows: days } = await client.query<{ day: string }>(
    `insert into whence.settled_days (day)
     select day from looked_at where day not in (select day from unsettled) returning day::text as day`,
  );
  const { rows: next } = await client.query<{ day: string; because: string }>(
    `select day::text as day, min(because) as because from unsettled join candidates using (day)
     group by day order by day limit 1`,
  );
  const [held] = next;
  return {
    days: days.map(({ day }) => day).sort(),
    heldBack:
      held === undefined ? null : `${held.day}: ${held.because}${held.because === BEHIND ? ` (${reached.by})` : ''}`,
  };
}

/** Nothing is committed meanwhile: what is left is settled by the next run. */
const DAYS_AT_ONCE = 31;

const BEHIND = 'what is on time may still come near it';

/**
 * The time before which no event is on time any more, in whatever partition: of each, the greatest event time that the speed
 * layer has read and the archive holds. A partition that was quiet for as long as speed plays are kept is left out.
 */
async function readReached(client: PoolClient, age: number): Promise<{ time: string; by: string }> {
  const { rows } = await client.query<{ time: string; by: string }>(
    `with places as (
       select topic, partition from whence.archive_tasks
       union
       select topic, task from whence.speed_tasks cross join lateral jsonb_object_keys(offsets) topic
     ), reached as (
       select p.topic, p.partition,
         case when t.end_seen_at - t.quiet_since >= make_interval(secs => $1) then 'infinity'
         when (s.offsets -> p.topic ->> 'next')::bigint >= t.next_offset
           then coalesce(t.greatest_event_time, '-infinity')
         else coalesce((
           select max(f.max_event_time) from whence.archive_files f
           where f.task = t.task and (f.log, f.to_offset) <= (t.log, (s.offsets -> p.topic ->> 'next')::bigint)
         ), '-infinity') end as time
       from places p
       left join whence.archive_tasks t on t.topic = p.topic and t.partition = p.partition
       left join whence.speed_tasks s on s.task = p.partition
     )
     select time::text as time,
       topic || '/' || partition || ' is read and archived up to '
         || case when isfinite(time) then to_char(time at time zone 'UTC', 'YYYY-MM-DD HH24:MI') else 'no event yet' end as by
     from reached order by reached.time, topic, partition limit 1`,
    [seconds(age)],
  );
  return rows[0] ?? { time: '-infinity', by: 'nothing is read' };
}

/**
 * Finds the candidates that must not be settled, into `unsettled`. A day may be where
 * - no event that is on time can come near its plays any more;
 * - each batch play with an event in it, of whichever kept version, lies in days that all kept versions cover, and no speed play
 *   is near it that has an event which one of them does not cover;
 * - each speed play with an event in it is covered by all of them.
 * Then, in every kept version, batch serves those plays but for a watermark that fell back, and for that the day is settled.
 */
async function findUnsettled(client: PoolClient, reached: string): Promise<void> {
  await client.query('create temp table unsettled (day date, because text) on commit drop');
  const gap = '(select stitching_gap from whence.batch_head)';
  const onTime = `($1::timestamptz - (select final_after from whence.batch_head) - ${SLACK})`;
  await client.query(
    `insert into unsettled select day, '${BEHIND}' from candidates
     where (day + 1)::timestamp at time zone 'UTC' >= ${onTime}`,
    [reached],
  );
  await client.query(
    `create temp table looked_at on commit drop as
     select day from candidates where day not in (select day from unsettled) order by day desc limit ${DAYS_AT_ONCE}`,
  );
  // Rows of kept versions: those that a removed version alone had are gone, or are on their way.
  await client.query(
    `create temp table kept_plays on commit drop as
     select b.profile_id, b.work_id, b.day, b.started_at, b.ended_at from whence.batch_plays b
     where (b.to_version is null or b.to_version > (select min(version) from kept_versions))
       and b.day <= (select max(day) from looked_at)
       and b.ended_at >= (select min(day) from looked_at)::timestamp at time zone 'UTC'`,
  );
  await client.query('analyze kept_plays');
  await client.query(
    `insert into unsettled select d.day::date, '${BEHIND}' from kept_plays b cross join lateral ${daysOf('b')}
     where b.ended_at >= ${onTime}`,
    [reached],
  );
  await client.query(
    `insert into unsettled
     select d.day::date, 'a play of it goes on in a day that is not covered by every kept version'
     from kept_plays b cross join lateral ${daysOf('b')}
     where b.day <> ${endDay('b')} and not ${isInAllCovered('b')}`,
  );
  await client.query(
    `create temp table least_horizons on commit drop as
     select topic, partition, min(next) as next
     from kept_versions v, jsonb_to_recordset(v.positions) p (topic text, partition integer, next bigint)
     group by topic, partition having count(*) = (select count(*) from kept_versions)`,
  );
  await client.query(
    `create temp table uncovered on commit drop as
     select s.profile_id, s.work_id, s.day, s.started_at, s.ended_at
     from whence.speed_now s
     where s.started_at <= (select max(ended_at) + ${gap} from kept_plays) + ${SLACK}
       and s.ended_at >= (select min(day) from looked_at)::timestamp at time zone 'UTC' - ${SLACK}
       and (not ${isInAllCovered('s')} or exists (
         select from unnest(s.event_topics, s.event_offsets) e (topic, "offset")
         where not exists (
           select from least_horizons h where h.topic = e.topic and h.partition = s.task and h.next > e."offset"
         )
       ))`,
  );
  await client.query('analyze uncovered');
  const because = `'the speed layer has a play there that is not covered by every kept version'`;
  await client.query(
    `insert into unsettled select d.day::date, ${because} from uncovered s cross join lateral ${daysOf('s')}
     union
     select d.day::date, ${because} from uncovered s
     join kept_plays b on b.profile_id = s.profile_id and b.work_id = s.work_id
       and b.started_at <= s.ended_at + ${gap} and b.ended_at >= s.started_at - ${gap}
     cross join lateral ${daysOf('b')}`,
  );
}
