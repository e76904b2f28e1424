import type { Queryable } from '../platform/postgres.ts';
import { VersionHeldError } from './errors.ts';

/** A version that was rolled back to, and who holds it. */
export interface Hold {
  version: number;
  by: string;
  /** ISO-8601. */
  since: string;
}

/** Null where the current version is free. */
export async function findHold(database: Queryable): Promise<Hold | null> {
  const { rows } = await database.query<{ version: number; by: string; since: Date }>(
    `select h.version, r.actor as by, r.at as since
     from whence.batch_head h join whence.rollbacks r on r.released_at is null where h.held`,
  );
  return rows.length === 0 ? null : { ...rows[0], since: rows[0].since.toISOString() };
}

/** @throws VersionHeldError */
export async function checkNotHeld(database: Queryable): Promise<void> {
  const hold = await findHold(database);
  if (hold !== null) throw new VersionHeldError(hold.version, hold.by, hold.since);
}
