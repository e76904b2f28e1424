import type { Knex } from 'knex';

const SOURCE_COLUMNS = ['surface', 'class', 'row_type', 'row_id', 'row_rank', 'position', 'impression_id', 'evidence'];

/** The columns of `whence.plays`, with their types. */
const PLAYS = [
  'play_id uuid, playback_id text, playback_ids text[], profile_id text, work_id text, title_id text, country text',
  'device_type text, day date, started_at timestamptz, ended_at timestamptz, watched_ms bigint, qualified boolean',
  'state text, inferred_start boolean, inferred_end boolean',
  ...['sop', 'sod'].map((prefix) =>
    SOURCE_COLUMNS.map(
      (name) => `${prefix}_${name} ${name === 'row_rank' || name === 'position' ? 'integer' : 'text'}`,
    ).join(', '),
  ),
  'assisted boolean, is_discovery boolean, discovered_at timestamptz, rule text, layer text, policy text',
  'generation bigint',
].join(', ');
const DISCOVERIES = [
  'profile_id text, work_id text, play_id uuid, discovered_at timestamptz',
  ...SOURCE_COLUMNS.map((name) => `sod_${name} ${name === 'row_rank' || name === 'position' ? 'integer' : 'text'}`),
  'layer text',
].join(', ');

/** The current plays of the batch view; `from_version` as it is to be read. */
async function replaceBatchNow(knex: Knex, fromVersion: string): Promise<void> {
  const { rows } = await knex.raw<{ rows: { columns: string; at_edge: string }[] }>(
    `select string_agg(format('b.%I', column_name), ', ' order by ordinal_position)
       filter (where column_name not in ('from_version', 'at_edge')) as columns
     from information_schema.columns where table_schema = 'whence' and table_name = 'batch_now'`,
  );
  const endDay = `((b.ended_at at time zone 'UTC')::date)`;
  await knex.raw(`
    create or replace view whence.batch_now as
    select ${fromVersion} as from_version, ${rows[0].columns},
      not (select watermark from whence.batch_head) > b.ended_at + (select final_after from whence.batch_head)
        or (
          select count(*) from whence.batch_days c where c.to_version is null and c.day between b.day and ${endDay}
        ) <= ${endDay} - b.day as at_edge
    from whence.batch_plays b
    where b.to_version is null`);
}

/** Rollback and release, versions that were removed, and the batch view as of a version. docs/decisions/0013. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table whence.batch_versions
      -- Rolled back over: neither current, nor what the current version was made from.
      add column undone boolean not null default false,
      -- The version with which it was compared to the speed layer; null where it was not.
      add column compared_with bigint,
      -- By retention: its plays and days can no longer be read.
      add column removed_at timestamptz`);
  await knex.raw('update whence.batch_versions set compared_with = version where compared');

  await knex.raw(`
    create table whence.rollbacks (
      -- From the numbers of the versions, but of none: where the rows begin and end that the rollback changed.
      number bigint primary key,
      at timestamptz not null default now(),
      actor text not null,
      from_version bigint not null references whence.batch_versions,
      to_version bigint not null references whence.batch_versions,
      plays_changed bigint not null,
      days_changed integer not null,
      released_at timestamptz,
      released_by text
    )`);
  await knex.raw(
    'create unique index rollbacks_unreleased on whence.rollbacks ((released_at is null)) where released_at is null',
  );

  await knex.raw(`
    alter table whence.batch_plays
      -- Of a row that a rollback brought back: the version that computed it. Null: that is from_version.
      add column written_by bigint`);
  await replaceBatchNow(knex, 'coalesce(b.written_by, b.from_version)');

  // By the version that was compared, so that a rollback finds those of its own.
  await knex.raw('alter table whence.batch_uncompared drop constraint batch_uncompared_pkey');
  await knex.raw('alter table whence.batch_uncompared add column version bigint');
  await knex.raw(
    'update whence.batch_uncompared set version = (select max(version) from whence.batch_versions where compared)',
  );
  await knex.raw('alter table whence.batch_uncompared add primary key (version, play_id)');

  await knex.raw('alter table whence.corrections rename to batch_corrections');
  await knex.raw(`
    create view whence.corrections as
    select c.day, c.profile_id, c.work_id, c.play_id, c.cause, c.speed, c.batch, c.generation
    from whence.batch_corrections c
    join whence.batch_versions v on v.version = c.generation
    where not v.undone`);

  await knex.raw(`
    create or replace view whence.versions as
    select v.version, v.version = h.version as current, v.version = h.version and h.held as held, v.committed_at, v.cause,
      v.actor, v.watermark,
      (select coalesce(jsonb_object_agg(z.topic || '/' || z.partition, z.next), '{}')
       from jsonb_to_recordset(v.positions) z (topic text, partition integer, next bigint)) as horizon,
      v.days_changed, v.plays_changed,
      case when v.version = h.version and h.held then r.actor end as held_by,
      case when v.version = h.version and h.held then r.at end as held_since,
      v.undone, v.removed_at is null as kept
    from whence.batch_versions v
    left join whence.batch_head h on true
    left join whence.rollbacks r on r.released_at is null`);

  await knex.raw(`
    create function whence.plays_as_of(as_of bigint) returns table (${PLAYS}) language plpgsql stable as $$
    #variable_conflict use_column
    begin
      perform from whence.batch_versions v where v.version = as_of and v.removed_at is null;
      if not found then
        if exists (select from whence.batch_versions v where v.version = as_of) then
          raise exception 'Version % was removed by retention; the versions that are kept: select version from whence.versions where kept', as_of;
        end if;
        raise exception 'There is no version %; the versions that are kept: select version from whence.versions where kept', as_of;
      end if;
      return query
      with days as (
        select d.day, d.policy from whence.batch_days d
        where d.from_version <= as_of and (d.to_version is null or d.to_version > as_of)
      ), settled as (
        select v.watermark,
          make_interval(secs => coalesce((
            select extract(epoch from (p.source ->> 'stitching_gap')::interval)
              + extract(epoch from (p.source ->> 'allowed_lateness')::interval)
            from whence.policies p where p.hash = (select policy from days limit 1)
          ), 0)) as final_after
        from whence.batch_versions v where v.version = as_of
      ), of_version as (
        select b.*,
          min(b.started_at) filter (where b.qualified) over (partition by b.profile_id, b.work_id) as first_qualified
        from whence.batch_plays b
        where b.from_version <= as_of and (b.to_version is null or b.to_version > as_of)
      )
      select p.play_id, p.playback_id, p.playback_ids, p.profile_id, p.work_id, p.title_id, p.country, p.device_type, p.day,
        p.started_at, p.ended_at, p.watched_ms, p.qualified,
        case when (select watermark > p.ended_at + final_after from settled)
          and (select count(*) from days where days.day between p.day and (p.ended_at at time zone 'UTC')::date)
            > (p.ended_at at time zone 'UTC')::date - p.day
          then 'final' else 'provisional' end,
        p.inferred_start, p.inferred_end,
        ${SOURCE_COLUMNS.map((name) => `p.sop_${name}`).join(', ')},
        ${SOURCE_COLUMNS.map((name) => `case when d.play_id is null then p.own_${name} else d.own_${name} end`).join(', ')},
        case when d.play_id is null then p.own_assisted else d.own_assisted end,
        coalesce(d.play_id = p.play_id, false), d.started_at, p.rule, 'batch'::text, p.policy,
        coalesce(p.written_by, p.from_version)
      from of_version p
      left join of_version d on d.profile_id = p.profile_id and d.work_id = p.work_id
        and d.qualified and d.started_at = d.first_qualified and d.started_at <= p.started_at;
    end $$`);
  await knex.raw(`
    comment on function whence.plays_as_of is
      'The plays of the batch layer in a version that is kept, with the columns of whence.plays. Nothing of the speed layer: plays that were open then, and served by it, are here as batch had them, provisional.'`);
  await knex.raw(`
    create function whence.discoveries_as_of(as_of bigint) returns table (${DISCOVERIES}) language sql stable as $$
      select profile_id, work_id, play_id, discovered_at, ${SOURCE_COLUMNS.map((name) => `sod_${name}`).join(', ')}, layer
      from whence.plays_as_of(as_of) where is_discovery
    $$`);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop function whence.discoveries_as_of, whence.plays_as_of');
  await knex.raw('drop view whence.corrections, whence.versions');
  await knex.raw(`
    create view whence.versions as
    select v.version, v.version = h.version as current, v.version = h.version and h.held as held, v.committed_at, v.cause,
      v.actor, v.watermark,
      (select coalesce(jsonb_object_agg(z.topic || '/' || z.partition, z.next), '{}')
       from jsonb_to_recordset(v.positions) z (topic text, partition integer, next bigint)) as horizon,
      v.days_changed, v.plays_changed
    from whence.batch_versions v
    left join whence.batch_head h on true`);
  await knex.raw('alter table whence.batch_corrections rename to corrections');
  await knex.raw(
    'delete from whence.batch_uncompared u where version < (select max(version) from whence.batch_uncompared)',
  );
  await knex.raw('alter table whence.batch_uncompared drop column version');
  await knex.raw('alter table whence.batch_uncompared add primary key (play_id)');
  await replaceBatchNow(knex, 'b.from_version');
  await knex.raw('alter table whence.batch_plays drop column written_by');
  await knex.raw('drop table whence.rollbacks');
  await knex.raw(
    'alter table whence.batch_versions drop column undone, drop column compared_with, drop column removed_at',
  );
}
