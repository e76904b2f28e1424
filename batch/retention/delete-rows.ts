import type { Pool } from '../../platform/postgres.ts';
import { NOTHING, type Removed } from './retention.ts';

/** So many rows go in one transaction: locks are short, and what was done stays done. */
const ROWS_AT_ONCE = 10_000;

/** A table's rows, by a condition that holds for good once it holds: written as SQL on the alias `r`. */
export interface Rows {
  table: string;
  where: string;
  parameters?: readonly unknown[];
}

/** What `deleteRows` would delete. */
export async function measureRows(
  database: Pick<Pool, 'query'>,
  { table, where, parameters = [] }: Rows,
): Promise<Removed> {
  const { rows } = await database.query<Removed>(
    `select count(*) as count, coalesce(sum(pg_column_size(r)), 0)::bigint as bytes from ${table} r where ${where}`,
    [...parameters],
  );
  return rows[0];
}

/** Deletes rows, some at a time. Cut off anywhere, it goes on where it was. */
export async function deleteRows(pool: Pool, { table, where, parameters = [] }: Rows): Promise<Removed> {
  let all: Removed = NOTHING;
  for (;;) {
    const { rows } = await pool.query<Removed>(
      `with gone as (
         delete from ${table} where ctid = any (array(
           select r.ctid from ${table} r where ${where} limit ${ROWS_AT_ONCE}
         )) returning pg_column_size(${table.split('.').at(-1)}) as bytes
       )
       select count(*) as count, coalesce(sum(bytes), 0)::bigint as bytes from gone`,
      [...parameters],
    );
    const [gone] = rows;
    if (gone.count === 0) return all;
    all = { count: all.count + gone.count, bytes: all.bytes + gone.bytes };
  }
}
