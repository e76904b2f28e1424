import type { Knex } from 'knex';

/** Small files of the archive are merged into one. docs/decisions/0019. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table whence.archive_files
      -- Storage keys of the files that it was merged from; null: it was written by the archiver.
      add column replaces text[]`);
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table whence.archive_files drop column replaces');
}
