import type { Knex } from 'knex';

/** Checkpoints of the speed layer's tasks: what stands in the storage, and of which offsets. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table whence.speed_checkpoints (
      checkpoint bigint generated always as identity primary key,
      task integer not null,
      -- Of the task when it was written.
      epoch bigint not null,
      -- By topic: the next offset to apply.
      offsets jsonb not null,
      -- Storage keys: what is read first, and all that it needs, itself included.
      head text not null,
      objects text[] not null,
      records bigint not null,
      -- Of all its objects, those included that it shares with an earlier one.
      bytes bigint not null,
      created_at timestamptz not null default now()
    )`);
  await knex.raw('create index speed_checkpoints_task on whence.speed_checkpoints (task, checkpoint)');
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop table whence.speed_checkpoints');
}
