import type { PoolClient } from '../platform/postgres.ts';

/**
 * To be called first in a transaction that locks a task: a process that is frozen in the middle of it (stopped, swapped out,
 * cut off) must not hold the lock against whoever takes its place. Postgres then ends the session, and the transaction with it.
 */
export async function giveWayWhenFrozen(client: PoolClient): Promise<void> {
  await client.query(`set local idle_in_transaction_session_timeout = '5s'`);
}
