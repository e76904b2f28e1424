import { compilePolicy, type PolicySource } from '../attribution/policy.ts';
import { keySetIn } from '../merge/keys.ts';
import { ownCommit } from '../merge/locks.ts';
import { type Queryable, withTransaction } from '../platform/postgres.ts';
import type { BatchDeps } from './advance.ts';
import { BatchRequestError } from './errors.ts';
import { SettlingBeside } from './settle-beside.ts';
import { nextNumber } from './sql/next-number.ts';
import { findKeysOfRollback, findReturning, holdHead, markUndone, writeReturn } from './sql/rollback.ts';

export interface RollbackSummary {
  /** Current now, and held. */
  version: number;
  /** What was current before. */
  from: number;
  playsChanged: number;
  daysChanged: number;
  heldBy: string;
}

export interface ReleaseSummary {
  version: number;
  /** Who held it; null where nobody did. */
  heldBy: string | null;
}

/** A crash can be put between any two steps, by tests. */
export type RollbackStep = 'begun' | 'written' | 'settled' | 'rolled back';

export interface RollbackOptions {
  onStep?: (step: RollbackStep) => void | Promise<void>;
}

interface Head {
  version: number;
  held: boolean;
}

/**
 * Makes a version that is kept current, older or newer, and holds it: nothing is committed over it before `release`. Plays, days,
 * horizons, discoveries, rollup and corrections are those of that version, in one transaction, beside the speed layer's commits.
 * Done again, it gives the same summary.
 *
 * @throws BatchRequestError where there is no such version, or it was removed
 */
export async function rollback(
  { pool }: Pick<BatchDeps, 'pool'>,
  version: number,
  actor: string,
  { onStep = () => {} }: RollbackOptions = {},
): Promise<RollbackSummary> {
  const summary = await withTransaction(pool, async (client) => {
    await ownCommit(client);
    const head = await readHead(client);
    await checkKept(client, version);
    if (head.held && head.version === version) return readHeld(client);
    await onStep('begun');
    const { stitchingGap, allowedLateness } = await rulesOf(client, version);
    const finalAfter = stitchingGap + allowedLateness;
    await findReturning(client, version);
    return SettlingBeside.during(pool, client, async (settling) => {
      const affected = keySetIn('affected_keys', await findKeysOfRollback(client, version, finalAfter));
      await settling.keepBefore(affected);
      const number = await nextNumber(client);
      const changed = await writeReturn(client, number);
      await holdHead(client, version, number, stitchingGap, finalAfter);
      await markUndone(client, version);
      await endHold(client, actor);
      await client.query(
        `insert into whence.rollbacks (number, actor, from_version, to_version, plays_changed, days_changed)
         values ($1, $2, $3, $4, $5, $6)`,
        [number, actor, head.version, version, changed.plays, changed.days],
      );
      await onStep('written');
      await settling.settle(affected);
      await onStep('settled');
      await settling.finish();
      return { version, from: head.version, playsChanged: changed.plays, daysChanged: changed.days, heldBy: actor };
    });
  });
  await onStep('rolled back');
  return summary;
}

/**
 * Lets the current version go: what is committed next follows it. What is served does not change. Where nothing is held, nothing
 * happens.
 *
 * @throws BatchRequestError where there is no version
 */
export async function release({ pool }: Pick<BatchDeps, 'pool'>, actor: string): Promise<ReleaseSummary> {
  return withTransaction(pool, async (client) => {
    await ownCommit(client);
    const { version, held } = await readHead(client);
    if (!held) return { version, heldBy: null };
    const { heldBy } = await readHeld(client);
    await client.query('update whence.batch_head set held = false');
    await endHold(client, actor);
    return { version, heldBy };
  });
}

async function readHead(database: Queryable): Promise<Head> {
  const { rows } = await database.query<Head>('select version, held from whence.batch_head');
  if (rows.length === 0) {
    throw new BatchRequestError(
      'There is no version of the batch view yet; make one with: npx whence reconcile --day D',
    );
  }
  return rows[0];
}

/** @throws BatchRequestError */
async function checkKept(database: Queryable, version: number): Promise<void> {
  const { rows } = await database.query<{ version: number; kept: boolean }>(
    'select version, removed_at is null as kept from whence.batch_versions order by version',
  );
  const found = rows.find((row) => row.version === version);
  if (found?.kept) return;
  const kept = rows.filter((row) => row.kept).map((row) => row.version);
  const shown = kept.length > MOST_SHOWN ? ['…', ...kept.slice(-MOST_SHOWN)] : kept;
  const why = found
    ? `Version ${version} was removed by retention; the oldest that is kept is ${kept[0]}`
    : `There is no version ${version}`;
  throw new BatchRequestError(
    `${why}; versions that are kept: ${shown.join(', ')} (select * from whence.versions where kept)`,
  );
}
const MOST_SHOWN = 20;

/** What the rollback did that holds the current version. */
async function readHeld(database: Queryable): Promise<RollbackSummary> {
  const { rows } = await database.query<RollbackSummary>(
    `select to_version as version, from_version as "from", plays_changed as "playsChanged", days_changed as "daysChanged",
       actor as "heldBy"
     from whence.rollbacks where released_at is null`,
  );
  return rows[0];
}

/** Whoever holds a version holds it no more. */
async function endHold(database: Queryable, actor: string): Promise<void> {
  await database.query('update whence.rollbacks set released_at = now(), released_by = $1 where released_at is null', [
    actor,
  ]);
}

/** Of the covered days of a version: all have the same gap and lateness. */
async function rulesOf(
  database: Queryable,
  version: number,
): Promise<{ stitchingGap: number; allowedLateness: number }> {
  const { rows } = await database.query<{ source: PolicySource }>(
    `select p.source from whence.batch_days d join whence.policies p on p.hash = d.policy
     where d.from_version <= $1 and (d.to_version is null or d.to_version > $1) limit 1`,
    [version],
  );
  if (rows.length === 0) {
    throw new BatchRequestError(`Version ${version} covers no day, so that there is nothing to go back to`);
  }
  return compilePolicy(rows[0].source).rules.batch;
}
