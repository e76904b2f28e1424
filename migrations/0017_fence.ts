import type { Knex } from 'knex';

/**
 * The fence of a commit as a function that fails where it is closed: the statements of a commit are sent without waiting for
 * each other's answers, and what follows a statement that failed does nothing.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create function whence.advance_task(
      of_task integer, of_epoch bigint, from_offsets jsonb, to_offsets jsonb, to_replay jsonb, to_watermark timestamptz
    ) returns void language plpgsql as $$
    begin
      update whence.speed_tasks
      set offsets = to_offsets, replay = to_replay, watermark = to_watermark, committed_at = now()
      where task = of_task and epoch = of_epoch and offsets = from_offsets;
      if not found then
        raise exception 'task % is not of epoch % and at these offsets any more', of_task, of_epoch
          using errcode = 'WH001';
      end if;
    end $$
  `);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop function whence.advance_task');
}
