import type { Knex } from 'knex';

// Roles belong to the whole server, not to a database: another database may have made them, or be making them now.
const createRole = (role: string) => `
  do $$ begin
    create role ${role} nologin;
  exception when duplicate_object or unique_violation then
    null;
  end $$`;

/**
 * The two group roles, to be granted to whoever logs in: `whence_reader` sees everything in the schema, `whence_writer`
 * also changes it. What later migrations create is theirs by the default privileges.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('create schema if not exists whence');
  await knex.raw(createRole('whence_reader'));
  await knex.raw(createRole('whence_writer'));
  await knex.raw('grant usage on schema whence to whence_reader, whence_writer');
  await knex.raw('grant select on all tables in schema whence to whence_reader, whence_writer');
  await knex.raw('alter default privileges in schema whence grant select on tables to whence_reader');
  await knex.raw(
    'alter default privileges in schema whence grant select, insert, update, delete, truncate on tables to whence_writer',
  );
  await knex.raw('alter default privileges in schema whence grant usage, select on sequences to whence_writer');
}

/** Takes the privileges away. The roles stay: they may own something elsewhere on the server. */
export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter default privileges in schema whence revoke all on tables from whence_reader, whence_writer');
  await knex.raw('alter default privileges in schema whence revoke all on sequences from whence_writer');
  await knex.raw('revoke all on schema whence from whence_reader, whence_writer');
}
