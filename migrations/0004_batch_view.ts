import type { Knex } from 'knex';

const SOURCE_COLUMNS = ['surface', 'class', 'row_type', 'row_id', 'row_rank', 'position', 'impression_id', 'evidence'];

const sourceTable = (prefix: string) => `
  ${prefix}_surface text not null,
  ${prefix}_class text,
  ${prefix}_row_type text,
  ${prefix}_row_id text,
  ${prefix}_row_rank integer,
  ${prefix}_position integer,
  ${prefix}_impression_id text,
  ${prefix}_evidence text not null`;

/** What both layers keep of a play. */
const playTable = `
  play_id uuid not null,
  profile_id text not null,
  work_id text not null,
  playback_id text not null,
  playback_ids text[] not null,
  title_id text not null,
  country text not null,
  device_type text not null,
  day date not null,
  started_at timestamptz not null,
  ended_at timestamptz not null,
  watched_ms bigint not null,
  qualified boolean not null,
  inferred_start boolean not null,
  inferred_end boolean not null,
  ${sourceTable('sop')},
  ${sourceTable('own')},
  own_assisted boolean not null,
  orphan_token boolean not null,
  rule text not null,
  policy text not null references whence.policies,
  path_impression_id text[] not null,
  path_surface text[] not null,
  path_row_type text[] not null,
  path_row_id text[] not null,
  path_row_rank integer[] not null,
  path_position integer[] not null,
  path_touched_at timestamptz[] not null,
  path_weights integer[] not null,
  touches_omitted integer not null,
  -- What the play would say with the windows of the speed layer, as far as it differs; null where nothing does.
  narrow jsonb`;

const SERVED_COLUMNS = [
  ['play_id', 'playback_id', 'playback_ids', 'profile_id', 'work_id', 'title_id', 'country', 'device_type', 'day'],
  ['started_at', 'ended_at', 'watched_ms', 'qualified', 'inferred_start', 'inferred_end'],
  SOURCE_COLUMNS.map((name) => `sop_${name}`),
  SOURCE_COLUMNS.map((name) => `own_${name}`),
  ['own_assisted', 'orphan_token', 'rule', 'policy'],
  ['impression_id', 'surface', 'row_type', 'row_id', 'row_rank', 'position'].map((name) => `path_${name}`),
  ['path_touched_at', 'path_weights', 'touches_omitted'],
].flat();
const served = (from: string) => SERVED_COLUMNS.map((name) => `${from}.${name}`).join(', ');
const columns = (from: string, prefix: string) => SOURCE_COLUMNS.map((name) => `${from}.${prefix}_${name}`).join(', ');

/** The key's discovery where this play is it or comes after it, else the play's own candidate. */
const composedSource = SOURCE_COLUMNS.map(
  (name) => `case when d.play_id is null then p.own_${name} else d.sod_${name} end as sod_${name}`,
).join(', ');

/** The UTC date of a play's last event. Every date from that of the start to it has an event: no gap is that long. */
const endDay = (play: string) => `((${play}.ended_at at time zone 'UTC')::date)`;
/** Whether a play has an event in a day that is not covered. */
const beyondCoverage = (play: string) => `(
  select count(*) from whence.batch_days c where c.to_version is null and c.day between ${play}.day and ${endDay(play)}
) <= ${endDay(play)} - ${play}.day`;
const GAP = '(select stitching_gap from whence.batch_head)';
/** Whether two plays are of one key, and within a stitching gap of each other. */
const near = (a: string, b: string) => `
  ${a}.profile_id = ${b}.profile_id and ${a}.work_id = ${b}.work_id
  and ${a}.started_at <= ${b}.ended_at + ${GAP} and ${a}.ended_at >= ${b}.started_at - ${GAP}`;

const VIEWS_OF_SPEED = ['daily_discovery', 'credits', 'discoveries', 'plays'];

/**
 * The batch view: versions, the days that they cover and their plays; the attempts that make the next version; and what is
 * served of both layers. docs/decisions/0010 says why it is served so.
 */
export async function up(knex: Knex): Promise<void> {
  for (const view of VIEWS_OF_SPEED) await knex.raw(`drop view whence.${view}`);

  await knex.raw(`
    alter table whence.speed_plays
      -- The topics that its events stand in, and the offset of the last in each: whether batch has them all.
      add column event_topics text[] not null default '{}',
      add column event_offsets bigint[] not null default '{}'`);
  await knex.raw('alter table whence.speed_discoveries rename to key_discoveries');
  await knex.raw(`alter table whence.key_discoveries add column layer text not null default 'speed'`);
  await knex.raw('alter table whence.speed_daily rename to daily_shares');
  await knex.raw('alter table whence.daily_shares rename column task to writer');
  await knex.raw(`alter table whence.daily_shares add column layer text not null default 'speed'`);
  await knex.raw(
    'alter table whence.daily_shares drop constraint speed_daily_task_day_country_sod_surface_sod_row_type_key',
  );
  // By writer (a task of the speed layer, -1 for batch), so that none waits for another's row.
  await knex.raw(`
    alter table whence.daily_shares add constraint daily_shares_once
      unique nulls not distinct (writer, day, layer, country, sod_surface, sod_row_type)`);
  await knex.raw('create index daily_shares_day on whence.daily_shares (day)');

  await knex.raw(`
    create table whence.batch_versions (
      version bigint primary key,
      -- The version that was current before it; 0 for none.
      parent bigint not null,
      committed_at timestamptz not null default now(),
      cause text not null,
      actor text not null,
      -- The snapshot: where the archive stood, by topic-partition.
      positions jsonb not null,
      -- The smallest watermark of a partition: infinity where all are complete.
      watermark timestamptz not null,
      -- Storage keys of what lists the copies among the records of the snapshot.
      copies text[] not null,
      days_changed integer not null,
      plays_changed bigint not null,
      dirty_keys bigint not null,
      -- Whether the plays that it began to serve were held against the speed layer's.
      compared boolean not null default false
    )`);

  await knex.raw(`
    create table whence.batch_head (
      one_row boolean primary key default true check (one_row),
      version bigint not null references whence.batch_versions,
      held boolean not null default false,
      watermark timestamptz not null,
      -- Of the policy of the covered days: all have the same.
      stitching_gap interval not null,
      final_after interval not null
    )`);

  // Of the current version.
  await knex.raw(`
    create table whence.batch_horizons (
      topic text not null,
      partition integer not null,
      next_offset bigint not null,
      primary key (topic, partition)
    )`);

  // A row is of the versions from from_version up to to_version, that one not included; null: it is current.
  await knex.raw(`
    create table whence.batch_days (
      day date not null,
      from_version bigint not null,
      to_version bigint,
      -- The version that changed the day last.
      generation bigint not null,
      policy text not null references whence.policies,
      -- Plays of the day in the batch view, open ones included.
      plays bigint not null,
      primary key (day, from_version)
    )`);
  await knex.raw('create unique index batch_days_now on whence.batch_days (day) where to_version is null');

  await knex.raw(`
    create table whence.batch_plays (
      from_version bigint not null,
      to_version bigint,
      ${playTable},
      primary key (play_id, from_version)
    )`);
  await knex.raw('create unique index batch_plays_now on whence.batch_plays (play_id) where to_version is null');
  await knex.raw(`
    create index batch_plays_key on whence.batch_plays (profile_id, work_id, started_at) where to_version is null`);
  await knex.raw('create index batch_plays_day on whence.batch_plays (day) where to_version is null');
  await knex.raw('create index batch_plays_end on whence.batch_plays (ended_at) where to_version is null');
  await knex.raw('create index batch_plays_from on whence.batch_plays (from_version)');
  await knex.raw('create index batch_plays_to on whence.batch_plays (to_version) where to_version is not null');

  await knex.raw(`
    create table whence.batch_attempts (
      attempt bigint generated always as identity primary key,
      owner text not null,
      parent bigint not null,
      days date[] not null,
      cause text not null,
      actor text not null,
      policy text not null references whence.policies,
      begun_at timestamptz not null default now(),
      positions jsonb not null,
      watermark timestamptz not null,
      copies text[] not null,
      dirty_keys bigint not null,
      records bigint not null,
      -- Null while it is open.
      committed jsonb
    )`);
  await knex.raw('create unique index batch_attempts_open on whence.batch_attempts (owner) where committed is null');
  await knex.raw(`
    create table whence.batch_units (
      attempt bigint not null references whence.batch_attempts on delete cascade,
      unit integer not null,
      spec jsonb not null,
      -- Null until it is computed.
      result jsonb,
      primary key (attempt, unit)
    )`);
  // Keys with facts archived since the parent's snapshot, and the times between which their plays may have changed.
  await knex.raw(`
    create table whence.batch_dirty_keys (
      attempt bigint not null references whence.batch_attempts on delete cascade,
      bucket integer not null,
      profile_id text not null,
      work_id text not null,
      from_time timestamptz not null,
      to_time timestamptz not null,
      primary key (attempt, bucket, profile_id, work_id)
    )`);
  await knex.raw(`
    create table whence.batch_staged_plays (
      attempt bigint not null references whence.batch_attempts on delete cascade,
      unit integer not null,
      ${playTable}
    )`);
  await knex.raw('create index batch_staged_plays_unit on whence.batch_staged_plays (attempt, unit)');

  await knex.raw(`
    create table whence.corrections (
      day date not null,
      profile_id text not null,
      work_id text not null,
      play_id uuid not null,
      cause text not null check (cause in ('late', 'window', 'stitched', 'duplicate', 'policy', 'unexplained')),
      -- What differs, as each said it; null where the layer has no such play.
      speed jsonb,
      batch jsonb,
      -- The version that began to serve the batch layer's answer.
      generation bigint not null,
      primary key (generation, play_id)
    )`);
  await knex.raw('create index corrections_day on whence.corrections (day)');
  // Plays that were open only by what the speed layer had read when their version was compared: they are compared later.
  await knex.raw('create table whence.batch_uncompared (play_id uuid primary key)');

  await knex.raw(`
    create view whence.batch_now as
    select b.*,
      not (select watermark from whence.batch_head) > b.ended_at + (select final_after from whence.batch_head)
        or ${beyondCoverage('b')} as at_edge
    from whence.batch_plays b
    where b.to_version is null`);

  await knex.raw(`
    create view whence.speed_now as
    select s.*,
      ${beyondCoverage('s')} or exists (
        select from unnest(s.event_topics, s.event_offsets) e (topic, "offset")
        where not exists (
          select from whence.batch_horizons h
          where h.topic = e.topic and h.partition = s.task and h.next_offset > e."offset"
        )
      ) as uncovered
    from whence.speed_plays s`);

  await knex.raw(`
    create view whence.served_plays as
    select ${served('b')}, 'batch'::text as layer, 'final'::text as state, b.from_version as generation
    from whence.batch_now b
    where not b.at_edge
      and not exists (select from whence.speed_now s where s.uncovered and ${near('s', 'b')})
    union all
    select ${served('s')}, 'speed'::text,
      case when (select t.watermark > s.ended_at + t.final_after from whence.speed_tasks t where t.task = s.task)
        then 'final' else 'provisional' end,
      null::bigint
    from whence.speed_now s
    where s.uncovered or exists (
      select from whence.batch_now b
      where ${near('s', 'b')}
        and (b.at_edge or exists (select from whence.speed_now o where o.uncovered and ${near('o', 'b')}))
    )`);

  await knex.raw(`
    create view whence.plays as
    select p.play_id, p.playback_id, p.playback_ids, p.profile_id, p.work_id, p.title_id, p.country, p.device_type,
      p.day, p.started_at, p.ended_at, p.watched_ms, p.qualified, p.state, p.inferred_start, p.inferred_end,
      ${columns('p', 'sop')},
      ${composedSource},
      case when d.play_id is null then p.own_assisted else d.assisted end as assisted,
      coalesce(d.play_id = p.play_id, false) as is_discovery,
      d.discovered_at, p.rule, p.layer, p.policy, p.generation
    from whence.served_plays p
    left join whence.key_discoveries d
      on d.profile_id = p.profile_id and d.work_id = p.work_id and d.discovered_at <= p.started_at`);

  await knex.raw(`
    create view whence.discoveries as
    select d.profile_id, d.work_id, d.play_id, d.discovered_at, ${columns('d', 'sod')}, d.layer
    from whence.key_discoveries d`);

  await knex.raw(`
    create view whence.credits as
    select p.play_id, m.model, (t.place - 1)::integer as touch_index, t.impression_id, t.row_type, t.row_rank,
      t.position, t.touched_at, w.weight / 1e9::double precision as weight
    from whence.served_plays p
    join whence.policies policy on policy.hash = p.policy
    cross join lateral unnest(policy.models) with ordinality m(model, place)
    cross join lateral unnest(p.path_impression_id, p.path_row_type, p.path_row_rank, p.path_position, p.path_touched_at)
      with ordinality t(impression_id, row_type, row_rank, position, touched_at, place)
    cross join lateral (
      select p.path_weights[(m.place - 1) * cardinality(p.path_impression_id) + t.place] as weight
    ) w
    where w.weight <> 0`);

  await knex.raw(`
    create view whence.daily_discovery as
    select day, country, sod_surface, sod_row_type, sum(plays)::bigint as plays,
      sum(qualified_plays)::bigint as qualified_plays, sum(discoveries)::bigint as discoveries,
      (sum(watched_ms) / 3600000.0)::double precision as watched_hours
    from whence.daily_shares
    group by day, country, sod_surface, sod_row_type
    having sum(plays) > 0`);

  await knex.raw(`
    create view whence.versions as
    select v.version, v.version = h.version as current, v.version = h.version and h.held as held, v.committed_at, v.cause,
      v.actor, v.watermark,
      (select coalesce(jsonb_object_agg(z.topic || '/' || z.partition, z.next), '{}')
       from jsonb_to_recordset(v.positions) z (topic text, partition integer, next bigint)) as horizon,
      v.days_changed, v.plays_changed
    from whence.batch_versions v
    left join whence.batch_head h on true`);

  await knex.raw(`
    create view whence.days as
    select d.day, c.day is not null as covered, c.generation, v.committed_at, c.policy,
      coalesce(s.plays, 0)::bigint as plays,
      case when c.day is not null then c.plays - coalesce(s.of_batch, 0)::bigint end as open_plays,
      case when c.day is not null then coalesce(a.rows, 0)::bigint end as dirty_keys
    from (
      select day from whence.batch_days where to_version is null
      union select day from whence.archive_file_days
      union select day from whence.daily_shares where plays <> 0
    ) d
    left join whence.batch_days c on c.day = d.day and c.to_version is null
    left join whence.batch_versions v on v.version = c.generation
    left join lateral (
      select sum(plays) as plays, sum(plays) filter (where layer = 'batch') as of_batch
      from whence.daily_shares where day = d.day
    ) s on true
    -- Every dirty key has a record that was archived since the current version.
    left join lateral (
      select sum(f.rows) as rows
      from whence.archive_file_days f
      join whence.archive_files file using (file)
      join whence.archive_tasks t using (task)
      left join whence.batch_horizons h on h.topic = t.topic and h.partition = t.partition
      where f.day = d.day and (h.topic is null or file.to_offset > h.next_offset)
    ) a on true`);
}

export async function down(knex: Knex): Promise<void> {
  const views = ['days', 'versions', ...VIEWS_OF_SPEED, 'served_plays', 'speed_now', 'batch_now'];
  for (const view of views) await knex.raw(`drop view whence.${view}`);
  const tables = [
    [
      'corrections',
      'batch_uncompared',
      'batch_staged_plays',
      'batch_dirty_keys',
      'batch_units',
      'batch_attempts',
      'batch_plays',
    ],
    ['batch_days', 'batch_horizons', 'batch_head', 'batch_versions'],
  ].flat();
  for (const table of tables) await knex.raw(`drop table whence.${table}`);
  await knex.raw('alter table whence.daily_shares rename to speed_daily');
  await knex.raw('alter table whence.key_discoveries rename to speed_discoveries');
}
