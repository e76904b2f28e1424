import type { Knex } from 'knex';

/** Audits of the batch layer: their bounds, days that may leave them, and what failed. */
export async function up(knex: Knex): Promise<void> {
  // Of how many plays a day may have, against the median of its neighbours. One row; change it to change the bounds.
  await knex.raw(`
    create table whence.volume_bounds (
      one_row boolean primary key default true check (one_row),
      -- A day has at least 1/factor and at most factor times as many plays.
      factor double precision not null default 5 check (factor > 1),
      -- Covered days so far before and after it are its neighbours; with fewer than least_neighbours nothing is expected.
      neighbour_days integer not null default 7 check (neighbour_days > 0),
      least_neighbours integer not null default 3 check (least_neighbours > 0),
      -- Where neither the day nor its neighbours have so many plays, nothing is expected: chance alone moves small numbers.
      least_plays bigint not null default 1000
    )`);
  await knex.raw('insert into whence.volume_bounds default values');
  await knex.raw(`
    create table whence.volume_exceptions (
      day date primary key,
      -- In words: "New Year", "outage of the app".
      because text not null,
      noted_at timestamptz not null default now(),
      noted_by text not null default current_user
    )`);
  await knex.raw(`
    create table whence.audit_failures (
      audit_failure bigint generated always as identity primary key,
      failed_at timestamptz not null default now(),
      -- The days asked for.
      days date[] not null,
      parent bigint not null,
      cause text not null,
      actor text not null,
      owner text not null,
      -- What was found, in words.
      failure text not null
    )`);
  // What was committed after it is right again.
  await knex.raw('alter view whence.days rename to days_of_batch');
  await knex.raw(`
    create view whence.days as
    select d.*, f.failed_at, f.failure
    from whence.days_of_batch d
    left join lateral (
      select a.failed_at, a.failure from whence.audit_failures a
      where d.day = any (a.days) and (d.committed_at is null or a.failed_at > d.committed_at)
      order by a.failed_at desc
      limit 1
    ) f on true`);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop view whence.days');
  await knex.raw('alter view whence.days_of_batch rename to days');
  for (const table of ['audit_failures', 'volume_exceptions', 'volume_bounds']) {
    await knex.raw(`drop table whence.${table}`);
  }
}
