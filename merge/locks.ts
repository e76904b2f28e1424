import { prepared, type Queryable } from '../platform/postgres.ts';
import type { StatementRunner } from '../platform/statements.ts';

/** Any number that nothing else in the database locks. */
const MERGE = 4_401_839_206;
const COMMIT = 4_401_839_207;

/**
 * For a transaction of the speed layer that changes plays: until it ends, no other version of the batch view becomes current,
 * so that what it settles is settled against one.
 */
export async function shareMerge(database: StatementRunner): Promise<void> {
  await database.query(prepared('select pg_advisory_xact_lock_shared($1)', [MERGE]));
}

/**
 * For the transaction that makes another version current: until it ends, the speed layer's commits wait. Readers do not. To be
 * held briefly (see `noting.ts`).
 */
export async function ownMerge(database: Queryable): Promise<void> {
  await database.query('select pg_advisory_xact_lock($1)', [MERGE]);
}

/** One commit of the batch view at a time; those that wait lose it by the version that they started from. */
export async function ownCommit(database: Queryable): Promise<void> {
  await database.query('select pg_advisory_xact_lock($1)', [COMMIT]);
}
