import type { Queryable } from '../../platform/postgres.ts';

/** The number of the next version, or of the next rollback: they share them, so that rows have their place in time. */
export async function nextNumber(database: Queryable): Promise<number> {
  const { rows } = await database.query<{ next: number }>(
    `select 1 + greatest(
       (select max(version) from whence.batch_versions), (select max(number) from whence.rollbacks), 0
     )::bigint as next`,
  );
  return rows[0].next;
}
