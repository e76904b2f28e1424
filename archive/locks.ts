import type { PoolClient } from '../platform/postgres.ts';

/**
 * To be called first in a transaction that locks a task: a process that is frozen in the middle of it (stopped, swapped out,
 * cut off) must not hold the lock against whoever takes its place. Postgres then ends the session, and the transaction with it.
 */
export async function giveWayWhenFrozen(client: PoolClient): Promise<void> {
  await client.query(`set local idle_in_transaction_session_timeout = '5s'`);
}

/** Any number that nothing else in the database locks. */
const OBJECTS = 4_401_839_209;

/** For a transaction that deletes an object because nothing refers to it: until it ends, nothing begins to. */
export async function ownObjects(client: PoolClient): Promise<void> {
  await client.query('select pg_advisory_xact_lock($1)', [OBJECTS]);
}

/** For a transaction that begins to refer to an object: it then makes sure that the object is there. */
export async function shareObjects(client: PoolClient): Promise<void> {
  await client.query('select pg_advisory_xact_lock_shared($1)', [OBJECTS]);
}
