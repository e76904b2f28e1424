import { shareObjects } from '../archive/locks.ts';
import { asObjects, findInstallation, type ManifestFile } from '../archive/manifest.ts';
import { compilePolicy, type Policy, type PolicySource } from '../attribution/policy.ts';
import { utcDay } from '../attribution/time.ts';
import { registerPolicy } from '../merge/register-policy.ts';
import { type Queryable, withTransaction } from '../platform/postgres.ts';
import type { AdvanceRequest, AttemptSummary, BatchDeps } from './advance.ts';
import { findCopies, storeCopies } from './copies.ts';
import { type DirtyKey, findDirtyKeys } from './dirty.ts';
import { withEngineAndFiles } from './engine.ts';
import { BatchRequestError } from './errors.ts';
import { checkNotHeld } from './hold.ts';
import { filesOf, readSnapshot, type StoredPosition, watermarkText } from './snapshot.ts';
import { bucketRanges, type UnitSpec } from './units.ts';

/** A unit takes about this many records of its day, and as many dirty keys. */
const RECORDS_A_UNIT = 1_000_000;
const KEYS_A_UNIT = 100_000;

interface Head {
  version: number;
  positions: StoredPosition[];
  copies: string[];
}
const NO_HEAD: Head = { version: 0, positions: [], copies: [] };

/**
 * Begins to make the next version: pins what the archive holds now, finds the copies in it and the dirty keys, and cuts the work
 * into units. An open attempt of the same owner is given up.
 *
 * @throws BatchRequestError where the days are none, or the policy cannot be applied to them alone
 * @throws VersionHeldError
 */
export async function beginAttempt(deps: BatchDeps, request: AdvanceRequest): Promise<AttemptSummary> {
  const { pool, policy } = deps;
  const days = checkDays(request.days);
  await registerPolicy(pool, policy);
  await checkNotHeld(pool);
  const head = await readHead(pool);
  const coverage = await readCoverage(pool);
  checkPolicies(policy, days, coverage);
  // All of one moment: files that are merged in between would be there twice.
  const { snapshot, files, added } = await withTransaction(
    pool,
    async (client) => {
      const found = await readSnapshot(client);
      return {
        snapshot: found,
        files: await filesOf(client, found.positions),
        added: await filesOf(client, found.positions, head.positions),
      };
    },
    'repeatable read',
  );
  const rules = [policy, ...coverage.policies.values()].map((each) => each.rules.batch);
  const { copies, dirty } = await lookAtAdded(deps, files, added, head, coverage.days, rules);
  const records = files.reduce((sum, file) => sum + days.reduce((all, day) => all + (file.days[day] ?? 0), 0), 0);
  const units = cut(days, records, dirty.length);
  const attempt = await withTransaction(pool, async (client) => {
    await shareObjects(client);
    await checkCopiesAreThere(deps, copies);
    await checkEndsOfFiles(client, snapshot.positions);
    await client.query('delete from whence.batch_attempts where owner = $1 and committed is null', [request.owner]);
    const { rows } = await client.query<{ attempt: number }>(
      `insert into whence.batch_attempts
         (owner, parent, days, cause, actor, policy, positions, watermark, copies, dirty_keys, records, by_day)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
       returning attempt`,
      [
        request.owner,
        head.version,
        days,
        request.cause,
        request.actor,
        policy.hash,
        JSON.stringify(snapshot.positions),
        watermarkText(snapshot.watermark),
        copies,
        dirty.length,
        records,
        request.byDay ?? false,
      ],
    );
    await addUnits(client, rows[0].attempt, units, dirty);
    return rows[0].attempt;
  });
  return { attempt, parent: head.version, units: units.length, dirtyKeys: dirty.length, records };
}

/** @throws BatchRequestError */
function checkDays(days: readonly string[]): string[] {
  for (const day of days) {
    const time = Date.parse(`${day}T00:00:00Z`);
    if (!/^\d{4}-\d\d-\d\d$/.test(day) || Number.isNaN(time) || utcDay(time) !== day) {
      throw new BatchRequestError(`"${day}" is no day, expected a date such as 2026-11-23 (UTC)`);
    }
  }
  return [...new Set(days)].sort();
}

/**
 * All plays of a key are stitched by one gap, and are final by one lateness, or the days would not fit together.
 *
 * @throws BatchRequestError
 */
function checkPolicies(policy: Policy, days: readonly string[], coverage: Coverage): void {
  const { stitchingGap, allowedLateness } = policy.rules.batch;
  const kept = coverage.days.filter((day) => !days.includes(day));
  for (const day of kept) {
    const other = coverage.policies.get(coverage.policyOf.get(day) ?? '');
    if (other === undefined) continue;
    const { rules } = other;
    if (rules.batch.stitchingGap === stitchingGap && rules.batch.allowedLateness === allowedLateness) continue;
    throw new BatchRequestError(
      `The policy "${policy.name}" has another stitching_gap or allowed_lateness than "${other.name}", by which ${day} was ` +
        'computed. Such a change needs all covered days in one commit; set WHENCE_POLICY to a policy with the same, or ask ' +
        `for all ${coverage.days.length} covered days at once`,
    );
  }
}

/**
 * A list of copies that nothing refers to is deleted some time after it was stored: where it took longer to begin, begin again.
 *
 * @throws NoSuchObjectError
 */
async function checkCopiesAreThere({ storage }: BatchDeps, copies: readonly string[]): Promise<void> {
  const found = copies.at(-1);
  if (found !== undefined) await storage.size(found);
}

/**
 * Files are merged where no snapshot ends between them. Where one was that nobody knew of yet, begin again.
 *
 * @throws Error
 */
async function checkEndsOfFiles(database: Queryable, positions: readonly StoredPosition[]): Promise<void> {
  const { rows } = await database.query<{ path: string }>(
    `select f.path from whence.archive_files f
     join whence.archive_tasks t using (task)
     join jsonb_to_recordset($1) p (topic text, partition integer, log integer, next bigint)
       on p.topic = t.topic and p.partition = t.partition and p.log = f.log
     where f.from_offset < p.next and f.to_offset > p.next limit 1`,
    [JSON.stringify(positions)],
  );
  if (rows.length > 0)
    throw new Error(`Files were merged into ${rows[0].path} while the attempt began; it begins again`);
}

async function readHead(database: Queryable): Promise<Head> {
  const { rows } = await database.query<Head>(
    `select version, v.positions, v.copies from whence.batch_head join whence.batch_versions v using (version)`,
  );
  return rows[0] ?? NO_HEAD;
}

export interface Coverage {
  /** Covered days, in order. */
  days: string[];
  /** By day: the hash of its policy. */
  policyOf: Map<string, string>;
  /** By hash. */
  policies: Map<string, Policy>;
}

/** The days that the current version covers, and the policies by which they were computed. */
export async function readCoverage(database: Queryable): Promise<Coverage> {
  const { rows } = await database.query<{ day: string; policy: string; source: PolicySource }>(
    `select d.day::text as day, d.policy, p.source from whence.batch_days d join whence.policies p on p.hash = d.policy
     where d.to_version is null order by d.day`,
  );
  const policies = new Map<string, Policy>();
  for (const { policy, source } of rows) if (!policies.has(policy)) policies.set(policy, compilePolicy(source));
  return { days: rows.map((row) => row.day), policyOf: new Map(rows.map((row) => [row.day, row.policy])), policies };
}

async function lookAtAdded(
  deps: BatchDeps,
  files: readonly ManifestFile[],
  added: readonly ManifestFile[],
  head: Head,
  covered: readonly string[],
  rules: Parameters<typeof findDirtyKeys>[4],
): Promise<{ copies: string[]; dirty: DirtyKey[] }> {
  if (added.length === 0) return { copies: head.copies, dirty: [] };
  const { pool } = deps;
  const isAdded = new Set(added.map((file) => file.path));
  const before = files.filter((file) => !isAdded.has(file.path));
  return withEngineAndFiles(deps, async (engine, lease) => {
    const addedFiles = await lease.take(asObjects(added));
    const known = await lease.take(head.copies.map((key) => ({ key })));
    const rows = added.reduce((sum, file) => sum + file.rows, 0);
    await findCopies(engine, { paths: addedFiles, rows }, await lease.take(asObjects(before)), known, deps.few);
    const found = await storeCopies(engine, deps, await findInstallation(pool));
    const dirty = await findDirtyKeys(engine, pool, addedFiles, covered, rules);
    return { copies: found === null ? head.copies : [...head.copies, found], dirty };
  });
}

function cut(days: readonly string[], records: number, dirtyKeys: number): UnitSpec[] {
  const ofDay = Math.ceil(records / Math.max(1, days.length) / RECORDS_A_UNIT);
  return [
    ...days.flatMap((day) => bucketRanges(ofDay).map((buckets) => ({ kind: 'day' as const, day, ...buckets }))),
    ...(dirtyKeys === 0
      ? []
      : bucketRanges(Math.ceil(dirtyKeys / KEYS_A_UNIT)).map((buckets) => ({ kind: 'dirty' as const, ...buckets }))),
  ];
}

async function addUnits(
  database: Queryable,
  attempt: number,
  units: readonly UnitSpec[],
  dirty: readonly DirtyKey[],
): Promise<void> {
  await database.query(
    `insert into whence.batch_units (attempt, unit, spec)
     select $1, place - 1, spec from jsonb_array_elements($2::jsonb) with ordinality u (spec, place)`,
    [attempt, JSON.stringify(units)],
  );
  for (let begin = 0; begin < dirty.length; begin += KEYS_A_UNIT) {
    await database.query(
      `insert into whence.batch_dirty_keys (attempt, bucket, profile_id, work_id, from_time, to_time)
       select $1, bucket, profile_id, work_id, to_timestamp(from_time / 1000.0), to_timestamp(to_time / 1000.0)
       from json_to_recordset($2) as d (
         bucket integer, profile_id text, work_id text, from_time double precision, to_time double precision
       )`,
      [attempt, JSON.stringify(dirty.slice(begin, begin + KEYS_A_UNIT))],
    );
  }
}
