import type { Knex } from 'knex';

/**
 * The archive: its tasks (one a topic-partition) with their offsets, and the manifest of its files.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table whence.archive_tasks (
      task integer generated always as identity unique,
      topic text not null,
      partition integer not null,
      epoch bigint not null,
      -- Counts the logs that the topic-partition has had: a topic that was re-created, with the loss accepted, is another.
      log integer not null default 0,
      -- The horizon: the next offset to archive.
      next_offset bigint not null default 0,
      -- Somebody waits for the archive to reach this offset: then a file is not to wait for company.
      wanted_log integer not null default 0,
      wanted_offset bigint not null default 0,
      -- A mark of the last record before it: its offset, timestamp and a hash.
      last jsonb,
      -- The file committed last.
      last_path text,
      greatest_event_time timestamptz,
      -- Since when the log is known to have ended at next_offset, and when it was last seen to end there.
      quiet_since timestamptz,
      end_seen_at timestamptz,
      committed_at timestamptz,
      primary key (topic, partition)
    )`);

  await knex.raw(`
    create table whence.archive_files (
      file bigint generated always as identity primary key,
      task integer not null references whence.archive_tasks (task),
      log integer not null,
      from_offset bigint not null,
      to_offset bigint not null,
      -- Where the archive stood when the file was begun: (log, from_offset), but where lost records were accepted.
      after_log integer not null,
      after_offset bigint not null,
      path text not null unique,
      previous text,
      format integer not null,
      rows bigint not null,
      bytes bigint not null,
      sha256 text not null,
      min_event_time timestamptz,
      max_event_time timestamptz,
      created_at timestamptz not null,
      check (from_offset < to_offset),
      check ((rows = 0) = (min_event_time is null) and (rows = 0) = (max_event_time is null)),
      -- Ranges of one number stand for equality, which GiST can do for numbers only with an extension.
      constraint offsets_archived_once exclude using gist (
        int4range(task, task, '[]') with &&, int4range(log, log, '[]') with &&,
        int8range(from_offset, to_offset) with &&
      )
    )`);

  await knex.raw(`
    create table whence.archive_file_days (
      day date not null,
      file bigint not null references whence.archive_files on delete cascade,
      rows bigint not null check (rows > 0),
      primary key (day, file)
    )`);
  await knex.raw('create index archive_file_days_file on whence.archive_file_days (file)');
}

export async function down(knex: Knex): Promise<void> {
  for (const table of ['archive_file_days', 'archive_files', 'archive_tasks'])
    await knex.raw(`drop table whence.${table}`);
}
