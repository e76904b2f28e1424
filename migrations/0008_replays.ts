import type { Knex } from 'knex';

/** Dead letters are sent again exactly once: the batches of that, and which letter is in which. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table whence.replays (
      replay bigint generated always as identity primary key,
      -- Stands in a header of each record, so that a letter that is still wrong is known again.
      token uuid not null unique default gen_random_uuid(),
      -- Its partition 0 bears the offset that tells whether Kafka has the batch.
      topic text not null,
      began_at timestamptz not null default now(),
      -- Null while it is in doubt.
      sent_at timestamptz
    )`);
  await knex.raw('create unique index replays_in_doubt on whence.replays ((true)) where sent_at is null');
  await knex.raw(`
    alter table whence.dead_letters
      -- The batch that it was sent with last; null again once it came back, still wrong.
      add column replay bigint references whence.replays,
      -- How often it came back.
      add column replays integer not null default 0`);
  await knex.raw('create index dead_letters_replay on whence.dead_letters (replay) where replay is not null');
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table whence.dead_letters drop column replay, drop column replays');
  await knex.raw('drop table whence.replays');
}
