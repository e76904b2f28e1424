import type { Knex } from 'knex';

/** Training datasets: the builds that make them, from the pins of the request to the published manifest. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table whence.dataset_builds (
      build bigint generated always as identity primary key,
      name text not null,
      version integer not null,
      status text not null default 'building' check (status in ('building', 'published')),
      created_at timestamptz not null default now(),
      -- Who works on it, and who asked.
      owner text not null,
      actor text not null,
      -- What the bytes of its files follow from, together with the code.
      request jsonb not null,
      pins jsonb not null,
      -- The storage keys of its files begin with this.
      folder text not null,
      -- Null until it is published.
      published_at timestamptz,
      path text,
      manifest_sha256 text,
      examples bigint,
      positives bigint,
      unique (name, version)
    )`);
  await knex.raw(`create unique index dataset_builds_open on whence.dataset_builds (owner) where status = 'building'`);
  await knex.raw(`
    create table whence.dataset_units (
      build bigint not null references whence.dataset_builds on delete cascade,
      unit integer not null,
      -- Both ends included.
      from_bucket integer not null,
      to_bucket integer not null,
      -- Null until it is built.
      result jsonb,
      primary key (build, unit)
    )`);
  await knex.raw(`
    create view whence.datasets as
    select name, version, status, (request ->> 'from')::date as from_day, (request ->> 'to')::date as to_day, examples,
      positives, path, manifest_sha256, created_at, published_at, request ->> 'format' as format,
      (pins ->> 'version')::bigint as batch_version, actor
    from whence.dataset_builds`);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop view whence.datasets');
  await knex.raw('drop table whence.dataset_units');
  await knex.raw('drop table whence.dataset_builds');
}
