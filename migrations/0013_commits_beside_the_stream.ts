import type { Knex } from 'knex';

const SOURCE_COLUMNS = ['surface', 'class', 'row_type', 'row_id', 'row_rank', 'position', 'impression_id', 'evidence'];
const NOT_OF_TOMBSTONES = ['play_id', 'discovered_at', 'sod_surface', 'sod_evidence', 'assisted'];

const columns = (from: string, prefix: string) => SOURCE_COLUMNS.map((name) => `${from}.${prefix}_${name}`).join(', ');
const composedSource = SOURCE_COLUMNS.map(
  (name) => `case when d.play_id is null then p.own_${name} else d.sod_${name} end as sod_${name}`,
).join(', ');

/** Arrays and texts that nobody looks plays up by: their statistics cost more than writing the plays. */
const NEVER_ASKED_FOR = [
  ['playback_ids', 'path_impression_id', 'path_surface', 'path_row_type', 'path_row_id', 'path_row_rank'],
  ['path_position', 'path_touched_at', 'path_weights'],
].flat();
const PLAY_TABLES = ['batch_plays', 'batch_staged_plays', 'speed_plays'];

const ofKeyOf = (play: string, chosen: string) =>
  `select k.* from whence.key_discoveries k where k.profile_id = ${play}.profile_id and k.work_id = ${play}.work_id ${chosen}`;

async function replaceViews(knex: Knex, discoveries: string, ofKey: string): Promise<void> {
  await knex.raw(`
    create or replace view whence.plays as
    select p.play_id, p.playback_id, p.playback_ids, p.profile_id, p.work_id, p.title_id, p.country, p.device_type,
      p.day, p.started_at, p.ended_at, p.watched_ms, p.qualified, p.state, p.inferred_start, p.inferred_end,
      ${columns('p', 'sop')},
      ${composedSource},
      case when d.play_id is null then p.own_assisted else d.assisted end as assisted,
      coalesce(d.play_id = p.play_id, false) as is_discovery,
      d.discovered_at, p.rule, p.layer, p.policy, p.generation
    from whence.served_plays p
    left join ${ofKey} d on d.play_id is not null and d.discovered_at <= p.started_at`);
  await knex.raw(`
    create or replace view whence.discoveries as
    select d.profile_id, d.work_id, d.play_id, d.discovered_at, ${columns('d', 'sod')}, d.layer
    from ${discoveries} d`);
}

/**
 * A commit of the batch layer makes ready what it changes while the speed layer goes on: discoveries are kept by both layers, each
 * its own rows, and the later one counts. docs/decisions/0021.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table whence.key_discoveries
      add column by_batch boolean not null default false,
      -- The number of the last version, or rollback, when the row was written: of a key's two rows the later one counts, and of
      -- two of the same number the speed layer's. A row without a play says that there is no discovery.
      add column settled bigint not null default 0`);
  await knex.raw('alter table whence.key_discoveries drop constraint speed_discoveries_pkey');
  await knex.raw('alter table whence.key_discoveries add primary key (profile_id, work_id, by_batch)');
  for (const name of NOT_OF_TOMBSTONES) {
    await knex.raw(`alter table whence.key_discoveries alter column ${name} drop not null`);
  }
  await knex.raw(`
    alter table whence.batch_head
      -- The number of the last version or rollback.
      add column settled bigint not null default 0`);
  await knex.raw(`
    update whence.batch_head set settled = greatest(
      (select max(version) from whence.batch_versions), (select coalesce(max(number), 0) from whence.rollbacks)
    )`);
  await knex.raw(`
    create view whence.settled_discoveries as
    select d.* from whence.key_discoveries d
    where d.play_id is not null and not exists (
      select from whence.key_discoveries o
      where o.profile_id = d.profile_id and o.work_id = d.work_id and o.by_batch <> d.by_batch
        and (o.settled > d.settled or o.settled = d.settled and not o.by_batch)
    )`);
  // Row by row, by the key: the planner would not look into a view that holds one row against another.
  await replaceViews(
    knex,
    'whence.settled_discoveries',
    `lateral (${ofKeyOf('p', 'order by k.settled desc, k.by_batch limit 1')})`,
  );

  // While there is a row here, the speed layer notes the keys that it changes.
  await knex.raw(`
    create table whence.noting (
      one_row boolean primary key default true check (one_row),
      since timestamptz not null default now()
    )`);
  await knex.raw('create table whence.noted_keys (profile_id text not null, work_id text not null)');

  // The few plays that every commit looks through.
  await knex.raw(`
    create index batch_plays_over_midnight on whence.batch_plays (day)
    where to_version is null and day <> (ended_at at time zone 'UTC')::date`);
  for (const table of PLAY_TABLES) {
    const set = NEVER_ASKED_FOR.map((name) => `alter column ${name} set statistics 0`);
    await knex.raw(`alter table whence.${table} ${set.join(', ')}`);
  }
}

export async function down(knex: Knex): Promise<void> {
  for (const table of PLAY_TABLES) {
    const set = NEVER_ASKED_FOR.map((name) => `alter column ${name} set statistics -1`);
    await knex.raw(`alter table whence.${table} ${set.join(', ')}`);
  }
  await knex.raw('drop index whence.batch_plays_over_midnight');
  await knex.raw('drop table whence.noting, whence.noted_keys');
  await knex.raw(`
    delete from whence.key_discoveries d
    where not exists (
      select from whence.settled_discoveries s
      where s.profile_id = d.profile_id and s.work_id = d.work_id and s.by_batch = d.by_batch
    )`);
  await replaceViews(knex, 'whence.key_discoveries', `lateral (${ofKeyOf('p', '')})`);
  await knex.raw('drop view whence.settled_discoveries');
  await knex.raw('alter table whence.batch_head drop column settled');
  for (const name of NOT_OF_TOMBSTONES) {
    await knex.raw(`alter table whence.key_discoveries alter column ${name} set not null`);
  }
  await knex.raw('alter table whence.key_discoveries drop constraint key_discoveries_pkey');
  await knex.raw('alter table whence.key_discoveries drop column by_batch, drop column settled');
  await knex.raw(
    'alter table whence.key_discoveries add constraint speed_discoveries_pkey primary key (profile_id, work_id)',
  );
}
