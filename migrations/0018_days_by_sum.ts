import type { Knex } from 'knex';

/**
 * A day has plays where the sum over all writers says so: tasks that commit together write their shares under one of them, and may
 * take them back under another, so that a row by itself can be negative.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(viewOf('group by day having sum(plays) <> 0'));
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw(viewOf('where plays <> 0'));
}

function viewOf(withPlays: string): string {
  return `
    create or replace view whence.days_of_batch as
    select d.day, c.day is not null as covered, c.generation, v.committed_at, c.policy,
      coalesce(s.plays, 0)::bigint as plays,
      case when c.day is not null then c.plays - coalesce(s.of_batch, 0)::bigint end as open_plays,
      case when c.day is not null then coalesce(a.rows, 0)::bigint end as dirty_keys
    from (
      select day from whence.batch_days where to_version is null
      union select day from whence.archive_file_days
      union select day from whence.daily_shares ${withPlays}
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
    ) a on true`;
}
