import { prepared, type Queryable } from '../platform/postgres.ts';
import type { StatementRunner } from '../platform/statements.ts';
import type { KeySet } from './keys.ts';
import { ownMerge } from './locks.ts';

/**
 * Has the speed layer note, from now on, the keys that it changes: whoever makes another version ready beside it looks at these
 * again. When it returns, no commit is under way that does not note.
 */
export async function beginNoting(database: Queryable): Promise<void> {
  await database.query('begin');
  await ownMerge(database);
  await database.query('delete from whence.noted_keys');
  await database.query('insert into whence.noting default values on conflict (one_row) do update set since = now()');
  await database.query('commit');
}

/** What was noted is needed no more. */
export async function endNoting(database: Queryable): Promise<void> {
  await database.query('delete from whence.noting');
  await database.query('delete from whence.noted_keys');
}

/** For a transaction of the speed layer, under the merge that it shares: notes its keys where somebody wants to know. */
export async function noteKeys(database: StatementRunner, keys: KeySet): Promise<void> {
  await database.query(
    prepared(
      `insert into whence.noted_keys (profile_id, work_id)
     select k.profile_id, k.work_id from ${keys.sql} where exists (select from whence.noting)`,
      keys.parameters,
    ),
  );
}

/** How often keys were noted that were not taken yet. */
export async function countNoted(database: Queryable): Promise<number> {
  const { rows } = await database.query<{ notes: number }>('select count(*) as notes from whence.noted_keys');
  return rows[0].notes;
}

/** Takes so many of the notes. A key that is changed after that is noted again. */
export async function takeNoted(
  database: Queryable,
  atMost: number,
): Promise<{ notes: number; keys: { profile_id: string; work_id: string }[] }> {
  const { rows } = await database.query<{ profile_id: string; work_id: string; notes: number }>(
    `with taken as (
       delete from whence.noted_keys where ctid = any (array(select ctid from whence.noted_keys limit $1))
       returning profile_id, work_id
     ) select profile_id, work_id, count(*) as notes from taken group by profile_id, work_id`,
    [atMost],
  );
  return { notes: rows.reduce((sum, { notes }) => sum + notes, 0), keys: rows };
}
