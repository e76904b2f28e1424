import { areMany } from '../../merge/keys.ts';
import type { Queryable } from '../../platform/postgres.ts';
import type { CommittingAttempt } from '../commit-attempt.ts';
import { analyzePlays, PLAY_COLUMNS } from './play-columns.ts';

/** The day of a play's last event. */
const endDay = (play: string) => `((${play}.ended_at at time zone 'UTC')::date)`;

/** Of a unit: whether it is of the days ($2), or of dirty keys. */
export const ofDays = (unit: string) =>
  `(${unit}.spec ->> 'kind' = 'dirty' or (${unit}.spec ->> 'day')::date = any ($2::date[]))`;

/**
 * Holds what was staged against the current plays. Afterwards `adding` has the plays that are new or say something new, and
 * `closing` the ids of the current ones that end with this version; what says the same is carried over.
 */
export async function findChanges(
  database: Queryable,
  { attempt, days }: Pick<CommittingAttempt, 'attempt' | 'days'>,
): Promise<void> {
  // Of a play of a dirty key in a day that is computed again, the day's unit has the word.
  await database.query(
    `create temp table adding on commit drop as
     select distinct on (s.play_id) ${PLAY_COLUMNS.map((name) => `s.${name}`).join(', ')}
     from whence.batch_staged_plays s join whence.batch_units u using (attempt, unit)
     where s.attempt = $1 and ${ofDays('u')}
     order by s.play_id, u.spec ->> 'kind' = 'dirty'`,
    [attempt, days],
  );
  await database.query('create unique index on adding (play_id)');
  await analyzePlays(database, 'adding');
  await findOverMidnight(database);
  // The plays that the attempt has computed again: those of the days asked for, and those of dirty keys around the changes.
  await database.query('create temp table closing (play_id uuid primary key) on commit drop');
  await database.query(
    `insert into closing
     select b.play_id from whence.batch_plays b where b.to_version is null and b.day = any ($1::date[])
     union
     select o.play_id from over_midnight o join unnest($1::date[]) d (day) on o.day < d.day and o.end_day >= d.day
     union
     select b.play_id from whence.batch_dirty_keys k join whence.batch_plays b using (profile_id, work_id)
     where k.attempt = $2 and b.to_version is null and b.started_at <= k.to_time and b.ended_at >= k.from_time
     union
     select b.play_id from adding join whence.batch_plays b using (play_id) where b.to_version is null`,
    [days, attempt],
  );
  await database.query('create temp table unchanged (play_id uuid primary key) on commit drop');
  await database.query(
    `insert into unchanged
     select a.play_id from adding a join whence.batch_plays b on b.play_id = a.play_id and b.to_version is null
     where (${PLAY_COLUMNS.map((name) => `a.${name}`).join(', ')})
       is not distinct from (${PLAY_COLUMNS.map((name) => `b.${name}`).join(', ')})`,
  );
  await database.query('delete from adding using unchanged where unchanged.play_id = adding.play_id');
  await database.query('delete from closing using unchanged where unchanged.play_id = closing.play_id');
  await analyzePlays(database, 'adding');
  await database.query('analyze closing');
}

/**
 * The few current plays that go over midnight, into `over_midnight`. There is an index of just these; the planner, who cannot tell
 * that they are few, would read all plays.
 */
async function findOverMidnight(database: Queryable): Promise<void> {
  await database.query('set local enable_seqscan = off');
  await database.query(
    `create temp table over_midnight on commit drop as
     select b.play_id, b.profile_id, b.work_id, b.day, ${endDay('b')} as end_day, b.at_edge
     from whence.batch_now b where b.day <> ${endDay('b')}`,
  );
  await database.query('reset enable_seqscan');
  await database.query('analyze over_midnight');
}

/** Whether a play has an event in a day that is not of `next_days`. */
export const hasUncoveredDay = (play: string) => `(
  not exists (select from next_days n where n.day = ${play}.day)
  or ${endDay(play)} <> ${play}.day
    and (select count(*) from next_days n where n.day between ${play}.day and ${endDay(play)}) <= ${endDay(play)} - ${play}.day
)`;

/** Whether a speed play has an event that will not be covered, by `next_days` and `next_horizons`. */
const willBeUncovered = (play: string) => `(
  ${hasUncoveredDay(play)}
  or exists (
    select from unnest(${play}.event_topics, ${play}.event_offsets) e (topic, "offset")
    where not exists (
      select from next_horizons h where h.topic = e.topic and h.partition = ${play}.task and h.next > e."offset"
    )
  )
)`;

/**
 * The keys of speed plays that are covered now and will not be, or the other way round, as a query. All the speed plays there are
 * are read for it, so that what can be seen at once goes first: only those with an event in a day or between offsets that will be
 * covered otherwise (`moved_days`, `moved_horizons`) are looked at closely.
 */
export const KEYS_OF_MOVED_SPEED_PLAYS = `
  select s.profile_id, s.work_id from whence.speed_now s
  left join moved_horizons m on m.topic = s.event_topics[1] and m.partition = s.task
  where case when s.day in (select day from moved_days)
      or ${endDay('s')} <> s.day and exists (select from moved_days n where n.day between s.day and ${endDay('s')})
      or s.event_offsets[1] >= m.least and s.event_offsets[1] < m.greatest
      or cardinality(s.event_topics) > 1
    then s.uncovered <> ${willBeUncovered('s')} else false end`;

/** Makes `moved_days` and `moved_horizons` of what is current, `next_days` and `next_horizons`. */
export async function findMoved(database: Queryable): Promise<void> {
  await database.query(
    `create temp table moved_days on commit drop as
     select coalesce(c.day, n.day) as day
     from (select day from whence.batch_days where to_version is null) c full join next_days n using (day)
     where c.day is null or n.day is null`,
  );
  await database.query(
    `create temp table moved_horizons on commit drop as
     select topic, partition, least(coalesce(c.next_offset, 0), coalesce(n.next, 0)) as least,
       greatest(coalesce(c.next_offset, 0), coalesce(n.next, 0)) as greatest
     from whence.batch_horizons c full join next_horizons n using (topic, partition)
     where c.next_offset is distinct from n.next`,
  );
  for (const table of ['next_days', 'next_horizons', 'moved_days', 'moved_horizons']) {
    await database.query(`analyze ${table}`);
  }
}

export async function createAffectedKeys(database: Queryable): Promise<void> {
  await database.query(
    'create temp table affected_keys (profile_id text, work_id text, primary key (profile_id, work_id)) on commit drop',
  );
}

/**
 * Finds the keys of whose plays others may be served with the next version, into `affected_keys`: those of changed plays, those
 * of batch plays that are open now or may be then, and those of speed plays whose events will be covered.
 *
 * @returns whether they are many, against the plays there are
 */
export async function findAffectedKeys(
  database: Queryable,
  { days, positions, watermark }: CommittingAttempt,
  finalAfterMs: number,
): Promise<boolean> {
  await database.query(
    `create temp table next_horizons on commit drop as
     select topic, partition, next from jsonb_to_recordset($1) p (topic text, partition integer, next bigint)`,
    [JSON.stringify(positions)],
  );
  await database.query(
    `create temp table next_days on commit drop as
     select day from whence.batch_days where to_version is null union select unnest($1::date[])`,
    [days],
  );
  await findMoved(database);
  await createAffectedKeys(database);
  const { rowCount: keys } = await database.query(
    `insert into affected_keys
     select profile_id, work_id from adding
     union
     select b.profile_id, b.work_id from closing join whence.batch_plays b using (play_id) where b.to_version is null
     union
     select b.profile_id, b.work_id from whence.batch_plays b
     where b.to_version is null and b.ended_at >= least(
       (select watermark - final_after from whence.batch_head), $1::timestamptz - make_interval(secs => $2)
     )
     union
     select profile_id, work_id from over_midnight where at_edge
     union
     ${KEYS_OF_MOVED_SPEED_PLAYS}`,
    [watermark, finalAfterMs / 1000],
  );
  await database.query('analyze affected_keys');
  return areMany(database, keys ?? 0);
}
