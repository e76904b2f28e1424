import type { Knex } from 'knex';

const SOURCE_COLUMNS = ['surface', 'class', 'row_type', 'row_id', 'row_rank', 'position', 'impression_id', 'evidence'];

/** The columns of a source of play or of discovery, each with a prefix. */
const sourceTable = (prefix: string) => `
  ${prefix}_surface text not null,
  ${prefix}_class text,
  ${prefix}_row_type text,
  ${prefix}_row_id text,
  ${prefix}_row_rank integer,
  ${prefix}_position integer,
  ${prefix}_impression_id text,
  ${prefix}_evidence text not null`;

const columns = (from: string, prefix: string) => SOURCE_COLUMNS.map((name) => `${from}.${prefix}_${name}`).join(', ');

/** The key's discovery where this play is it or comes after it, else the play's own candidate. */
const composedSource = SOURCE_COLUMNS.map(
  (name) => `case when d.play_id is null then p.own_${name} else d.sod_${name} end as sod_${name}`,
).join(', ');

/**
 * The speed layer: its tasks (one a partition number) with their offsets, the plays with their own candidates, the
 * discovery of each key, the daily rollup, the ledger, and dead letters. Views compose what people query.
 */
export async function up(knex: Knex): Promise<void> {
  // One row, made by the first stream.
  await knex.raw(`
    create table whence.installation (
      one_row boolean primary key default true check (one_row),
      id uuid not null default gen_random_uuid()
    )`);

  await knex.raw(`
    create table whence.policies (
      hash text primary key,
      name text not null,
      models text[] not null,
      source jsonb not null,
      first_used_at timestamptz not null default now()
    )`);

  await knex.raw(`
    create table whence.speed_tasks (
      task integer primary key,
      epoch bigint not null,
      -- By topic: the next offset to apply, and a mark of the record before it (its timestamp and a hash).
      offsets jsonb not null default '{}',
      -- By topic: where reading begins again after a restart, and the log's clock there.
      replay jsonb not null default '{}',
      watermark timestamptz,
      -- A play is final when the watermark is this much after its last event.
      final_after interval not null,
      committed_at timestamptz not null default now()
    )`);

  await knex.raw(`
    create table whence.speed_plays (
      play_id uuid primary key,
      task integer not null,
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
      -- The play's own candidate for the source of discovery.
      ${sourceTable('own')},
      own_assisted boolean not null,
      orphan_token boolean not null,
      rule text not null,
      policy text not null references whence.policies,
      -- The path, in order; path_weights holds the weights of each model of the policy one after the other, in 1e-9.
      path_impression_id text[] not null,
      path_surface text[] not null,
      path_row_type text[] not null,
      path_row_id text[] not null,
      path_row_rank integer[] not null,
      path_position integer[] not null,
      path_touched_at timestamptz[] not null,
      path_weights integer[] not null,
      touches_omitted integer not null
    )`);
  await knex.raw('create index speed_plays_key on whence.speed_plays (profile_id, work_id, started_at)');
  await knex.raw('create index speed_plays_day on whence.speed_plays (day)');

  await knex.raw(`
    create table whence.speed_discoveries (
      profile_id text not null,
      work_id text not null,
      play_id uuid not null,
      discovered_at timestamptz not null,
      ${sourceTable('sod')},
      assisted boolean not null,
      primary key (profile_id, work_id)
    )`);

  // By task, so that two tasks never wait for each other's row.
  await knex.raw(`
    create table whence.speed_daily (
      task integer not null,
      day date not null,
      country text not null,
      sod_surface text not null,
      sod_row_type text,
      plays bigint not null,
      qualified_plays bigint not null,
      discoveries bigint not null,
      watched_ms bigint not null,
      unique nulls not distinct (task, day, country, sod_surface, sod_row_type)
    )`);

  await knex.raw(`
    create table whence.ledger (
      topic text not null,
      partition integer not null,
      day date not null,
      consumed bigint not null,
      applied bigint not null,
      duplicate bigint not null,
      late bigint not null,
      excluded bigint not null,
      dead_lettered bigint not null,
      -- Of the duplicates, those that differ from the event that counts.
      conflicts bigint not null,
      primary key (topic, partition, day),
      constraint balanced check (consumed = applied + duplicate + late + excluded + dead_lettered)
    )`);

  await knex.raw(`
    create table whence.dead_letters (
      id bigint generated always as identity primary key,
      topic text not null,
      partition integer not null,
      "offset" bigint not null,
      day date not null,
      reason text not null,
      field text,
      message text not null,
      key bytea,
      value bytea,
      stamped_at timestamptz not null,
      dead_lettered_at timestamptz not null default now(),
      -- Sent to the dead-letter topic; sent again to its own topic by a person.
      relayed_at timestamptz,
      replayed_at timestamptz
    )`);
  // Not unique: a topic that was re-created, its loss accepted, has the same offsets again.
  await knex.raw('create index dead_letters_place on whence.dead_letters (topic, partition, "offset")');
  await knex.raw('create index dead_letters_unrelayed on whence.dead_letters (id) where relayed_at is null');

  await knex.raw(`
    create view whence.plays as
    select p.play_id, p.playback_id, p.playback_ids, p.profile_id, p.work_id, p.title_id, p.country, p.device_type,
      p.day, p.started_at, p.ended_at, p.watched_ms, p.qualified,
      case when t.watermark > p.ended_at + t.final_after then 'final' else 'provisional' end as state,
      p.inferred_start, p.inferred_end,
      ${columns('p', 'sop')},
      ${composedSource},
      case when d.play_id is null then p.own_assisted else d.assisted end as assisted,
      coalesce(d.play_id = p.play_id, false) as is_discovery,
      d.discovered_at, p.rule, 'speed'::text as layer, p.policy, null::bigint as generation
    from whence.speed_plays p
    join whence.speed_tasks t using (task)
    left join whence.speed_discoveries d
      on d.profile_id = p.profile_id and d.work_id = p.work_id and d.discovered_at <= p.started_at`);

  await knex.raw(`
    create view whence.discoveries as
    select d.profile_id, d.work_id, d.play_id, d.discovered_at, ${columns('d', 'sod')}, 'speed'::text as layer
    from whence.speed_discoveries d`);

  await knex.raw(`
    create view whence.credits as
    select p.play_id, m.model, (t.place - 1)::integer as touch_index, t.impression_id, t.row_type, t.row_rank,
      t.position, t.touched_at, w.weight / 1e9::double precision as weight
    from whence.speed_plays p
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
    from whence.speed_daily
    group by day, country, sod_surface, sod_row_type
    having sum(plays) > 0`);
}

export async function down(knex: Knex): Promise<void> {
  for (const view of ['daily_discovery', 'credits', 'discoveries', 'plays']) await knex.raw(`drop view whence.${view}`);
  const tables = [
    'dead_letters',
    'ledger',
    'speed_daily',
    'speed_discoveries',
    'speed_plays',
    'speed_tasks',
    'policies',
  ];
  for (const table of tables) await knex.raw(`drop table whence.${table}`);
}
