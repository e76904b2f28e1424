import type { Knex } from 'knex';

/** Backfills: what was asked, what became of each day, what a preview found; attempts that are committed day by day. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table whence.batch_attempts
      -- Whether its days are committed one by one; then parent is the version of its last commit.
      add column by_day boolean not null default false,
      -- Then, by day, what came of it.
      add column committed_days jsonb not null default '{}'`);

  await knex.raw(`
    create table whence.backfills (
      backfill bigint generated always as identity primary key,
      -- The workflow that makes it, and its first run.
      workflow_id text not null,
      run_id text not null,
      from_day date not null,
      to_day date not null,
      request jsonb not null,
      -- Who started it; who approved or rejected its preview, null where nobody did.
      actor text not null,
      approved_by text,
      rejected_by text,
      status text not null default 'running'
        check (status in ('running', 'completed', 'completed_with_failures', 'rejected', 'cancelled', 'failed')),
      begun_at timestamptz not null default now(),
      ended_at timestamptz,
      -- Of time and size, before it began.
      estimate jsonb not null,
      -- What the preview found last, and against which version.
      preview jsonb,
      unique (workflow_id, run_id)
    )`);
  await knex.raw(`
    create table whence.backfill_days (
      backfill bigint not null references whence.backfills on delete cascade,
      day date not null,
      status text not null check (status in ('left', 'done', 'failed')),
      records bigint not null,
      -- The version that committed it.
      version bigint,
      plays bigint,
      plays_changed bigint,
      -- Why it failed.
      reason text,
      ended_at timestamptz,
      primary key (backfill, day)
    )`);
  await knex.raw('create index backfill_days_day on whence.backfill_days (day)');
  // What a preview found: plays by country, by what happens to them, and from which row to which row their credit goes.
  await knex.raw(`
    create table whence.backfill_changes (
      backfill bigint not null references whence.backfills on delete cascade,
      country text not null,
      change text not null check (change in ('new', 'removed', 'moved', 'other')),
      -- A row of the homepage, or a surface where there is none; null where there is no such play.
      from_row text,
      to_row text,
      plays bigint not null,
      -- Some of them: play_id, profile_id, work_id, day, before, after.
      examples jsonb not null,
      unique nulls not distinct (backfill, country, change, from_row, to_row)
    )`);
  // How fast units were computed of late: what estimates are made of.
  await knex.raw(`
    create table whence.measured_units (
      measured_at timestamptz not null default now(),
      records double precision not null,
      plays bigint not null,
      ms bigint not null
    )`);
  await knex.raw('create index measured_units_at on whence.measured_units (measured_at)');
}

export async function down(knex: Knex): Promise<void> {
  for (const table of ['measured_units', 'backfill_changes', 'backfill_days', 'backfills']) {
    await knex.raw(`drop table whence.${table}`);
  }
  await knex.raw('alter table whence.batch_attempts drop column by_day, drop column committed_days');
}
