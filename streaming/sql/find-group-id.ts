import type { Queryable } from '../../platform/postgres.ts';

/**
 * The Kafka group of the processes that write into this database, those of one kind. Two installations that read the same topics into two
 * databases must not share a group: each would get half of the partitions.
 */
export async function findGroupId(database: Queryable, prefix = 'whence-speed'): Promise<string> {
  await database.query('insert into whence.installation default values on conflict do nothing');
  const { rows } = await database.query<{ name: string }>(
    `select $1::text || '-' || left(md5(id::text || current_database()), 12) as name from whence.installation`,
    [prefix],
  );
  return rows[0].name;
}
