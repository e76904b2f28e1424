import { compilePolicy, type PolicySource } from '../attribution/policy.ts';
import { keySetIn } from '../merge/keys.ts';
import { ownCommit } from '../merge/locks.ts';
import { type Queryable, withTransaction } from '../platform/postgres.ts';
import type { BatchDeps, CommitSummary } from './advance.ts';
import type { UnitResult } from './compute-unit.ts';
import { AttemptGoneError, AuditFailedError, CommitLostError } from './errors.ts';
import { checkNotHeld } from './hold.ts';
import { SettlingBeside } from './settle-beside.ts';
import type { StoredPosition } from './snapshot.ts';
import { faultsOfStaged, sumStaged } from './sql/audit-staged.ts';
import { faultsOfVolumes } from './sql/audit-volumes.ts';
import { findAffectedKeys, findChanges, ofDays } from './sql/changes.ts';
import { nextNumber } from './sql/next-number.ts';
import { addVersion, coverDays, moveHead, writeChanges } from './sql/write-version.ts';

/** A crash or a fault can be put between any two steps, by tests. */
export type BatchCommitStep = 'begun' | 'written' | 'settled' | 'before commit' | 'committed';

export interface CommitOptions {
  /** Of an attempt that is committed day by day: this day, with the dirty keys where it is the first. */
  day?: string;
  /** Of that day's version, instead of the attempt's. */
  cause?: string;
  onStep?: (step: BatchCommitStep) => void | Promise<void>;
}

/** An attempt, locked for its commit. */
export interface CommittingAttempt {
  attempt: number;
  parent: number;
  /** Those that this commit covers. */
  days: string[];
  cause: string;
  actor: string;
  policy: string;
  source: PolicySource;
  positions: StoredPosition[];
  /** As Postgres writes a time. */
  watermark: string;
  copies: string[];
  dirty_keys: number;
  committed: CommitSummary | null;
  by_day: boolean;
  /** Of an attempt that is committed day by day: by day, what came of it. */
  committed_days: Record<string, CommitSummary>;
}

/**
 * Makes what an attempt computed the next version, and current: plays, days, horizons, discoveries and rollup in one
 * transaction, if the version that it started from is still current. Done again, it gives the same summary. An attempt that is
 * committed day by day starts, for its next day, from the version of the one before.
 *
 * @throws AttemptGoneError, AuditFailedError, CommitLostError, VersionHeldError; then nothing was changed
 */
export async function commitAttempt(
  { pool }: BatchDeps,
  attempt: number,
  { day, cause, onStep = () => {} }: CommitOptions = {},
): Promise<CommitSummary> {
  const committing = withTransaction(pool, async (client) => {
    await ownCommit(client);
    const open = narrowedTo(await lockAttempt(client, attempt), day, cause);
    if (open.committed !== null) return open.committed;
    await onStep('begun');
    await checkNotHeld(client);
    const head = await readCurrent(client);
    if (head.version !== open.parent) throw new CommitLostError(open.parent, head.version);
    await checkUnits(client, open);
    const version = await nextNumber(client);
    const { stitchingGap, allowedLateness } = compilePolicy(open.source).rules.batch;
    const finalAfter = stitchingGap + allowedLateness;
    await findChanges(client, open);
    return SettlingBeside.during(pool, client, async (settling) => {
      const affected = keySetIn('affected_keys', await findAffectedKeys(client, open, finalAfter));
      await settling.keepBefore(affected);
      await addVersion(client, open, version);
      const playsChanged = await writeChanges(client, version);
      const days = await coverDays(client, open, version);
      const volumes = await faultsOfVolumes(client, open.days, open.watermark);
      if (volumes.length > 0) throw new AuditFailedError(volumes);
      await moveHead(client, open, version, stitchingGap, finalAfter);
      await onStep('written');
      const done: CommitSummary = {
        version,
        plays: days.plays,
        playsChanged,
        daysChanged: days.changed,
        dirtyKeys: open.dirty_keys,
        watermark: open.watermark === 'infinity' ? 'complete' : open.watermark === '-infinity' ? null : open.watermark,
      };
      await noteCommitted(client, open, done);
      await settling.settle(affected);
      await onStep('settled');
      await settling.finish();
      await onStep('before commit');
      return done;
    });
  });
  const summary = await committing.catch(async (error: unknown) => {
    if (error instanceof AuditFailedError) await noteFailure(pool, attempt, day, error);
    throw error;
  });
  await onStep('committed');
  return summary;
}

async function lockAttempt(database: Queryable, attempt: number): Promise<CommittingAttempt> {
  const { rows } = await database.query<CommittingAttempt>(
    `select a.attempt, a.parent, a.days::text[] as days, a.cause, a.actor, a.policy, p.source, a.positions,
       case when isfinite(a.watermark) then to_char(a.watermark at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
         else a.watermark::text end as watermark,
       a.copies, a.dirty_keys, a.committed, a.by_day, a.committed_days
     from whence.batch_attempts a join whence.policies p on p.hash = a.policy
     where a.attempt = $1
     -- Units of other days of it may be computed meanwhile; whoever gives it up waits.
     for no key update of a`,
    [attempt],
  );
  if (rows.length === 0) throw new AttemptGoneError(attempt);
  return rows[0];
}

/** The attempt as it is committed now: all of it, or one of its days. */
function narrowedTo(open: CommittingAttempt, day: string | undefined, cause = open.cause): CommittingAttempt {
  if (open.by_day !== (day !== undefined) || (day !== undefined && !open.days.includes(day))) {
    throw new RangeError(`Attempt ${open.attempt} of ${open.days.join(', ')} cannot be committed for ${day ?? 'all'}`);
  }
  return day === undefined ? open : { ...open, days: [day], cause, committed: open.committed_days[day] ?? null };
}

async function readCurrent(database: Queryable): Promise<{ version: number }> {
  const { rows } = await database.query<{ version: number }>(
    'select coalesce((select version from whence.batch_head), 0) as version',
  );
  return rows[0];
}

/** @throws AuditFailedError, where a unit was found wrong; Error, where one was not computed */
async function checkUnits(database: Queryable, { attempt, days }: CommittingAttempt): Promise<void> {
  const { rows } = await database.query<{ unit: number; result: UnitResult | null }>(
    `select unit, result from whence.batch_units u where attempt = $1 and ${ofDays('u')} order by unit`,
    [attempt, days],
  );
  const missing = rows.filter(({ result }) => result === null).map(({ unit }) => unit);
  if (missing.length > 0) {
    throw new Error(`Attempt ${attempt} cannot be committed: units ${missing.join(', ')} are not computed`);
  }
  const findings = rows.flatMap(({ result }) => result?.findings ?? []);
  const staged = await sumStaged(
    database,
    attempt,
    rows.map(({ unit }) => unit),
  );
  const changed = rows.flatMap(({ unit, result }) => {
    const { plays, hashes } = staged.get(unit) ?? { plays: 0, hashes: '0' };
    if (result === null || (plays === result.staged.plays && hashes === result.staged.hashes)) return [];
    return [`unit ${unit} is not what was audited: ${result.staged.plays} plays were audited, ${plays} are there`];
  });
  if (changed.length > 0) findings.push(...changed, ...(await faultsOfStaged(database, attempt)));
  if (findings.length > 0) throw new AuditFailedError(findings);
}

/** Beside the transaction, which is rolled back: what was wrong stays readable when the attempt is gone. */
async function noteFailure(
  database: Queryable,
  attempt: number,
  day: string | undefined,
  { message }: AuditFailedError,
): Promise<void> {
  await database.query(
    `insert into whence.audit_failures (days, parent, cause, actor, owner, failure)
     select coalesce($3::date[], days), parent, cause, actor, owner, $2 from whence.batch_attempts where attempt = $1`,
    [attempt, message, day === undefined ? null : [day]],
  );
}

async function noteCommitted(
  database: Queryable,
  { attempt, by_day, days }: CommittingAttempt,
  done: CommitSummary,
): Promise<void> {
  await database.query('update whence.batch_versions set days_changed = $2, plays_changed = $3 where version = $1', [
    done.version,
    done.daysChanged,
    done.playsChanged,
  ]);
  const set = by_day
    ? `parent = ${done.version}, dirty_keys = 0, committed_days = committed_days || $2`
    : 'committed = $2';
  await database.query(`update whence.batch_attempts set ${set} where attempt = $1`, [
    attempt,
    JSON.stringify(by_day ? { [days[0]]: done } : done),
  ]);
  await database.query(
    `delete from whence.batch_staged_plays s using whence.batch_units u
     where s.attempt = $1 and u.attempt = $1 and s.unit = u.unit and ${ofDays('u')}`,
    [attempt, days],
  );
  await database.query(`delete from whence.batch_units u where attempt = $1 and ${ofDays('u')}`, [attempt, days]);
  await database.query('delete from whence.batch_dirty_keys where attempt = $1', [attempt]);
}
