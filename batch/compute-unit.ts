import type { DuckDBConnection } from '@duckdb/node-api';
import { derive } from '../attribution/derive.ts';
import { type PlayRow, playRow } from '../attribution/play-row.ts';
import { describePlay } from '../attribution/plays.ts';
import { compilePolicy, type Policy, type PolicySource } from '../attribution/policy.ts';
import { DAY } from '../attribution/time.ts';
import { copyRows } from '../platform/copy-rows.ts';
import { type PoolClient, type Queryable, withTransaction } from '../platform/postgres.ts';
import type { Lease } from '../platform/storage.ts';
import type { BatchDeps, UnitSummary } from './advance.ts';
import { type AuditScope, auditUnit, createMadePlays, weightFault } from './audit.ts';
import { type Coverage, readCoverage } from './begin-attempt.ts';
import { withEngineAndFiles } from './engine.ts';
import { AttemptGoneError } from './errors.ts';
import { takeFew } from './few-keys.ts';
import { findChains, loadCopies, readFacts, type Records, recordsBetween } from './facts.ts';
import { ClassCodes, type KeyRows } from './key-rows.ts';
import { narrowed } from './narrow.ts';
import { policyOfPlay } from './policy-of-play.ts';
import { dayNumber } from './reach.ts';
import { filesOf, type StoredPosition } from './snapshot.ts';
import { type StagedSum, sumStaged } from './sql/audit-staged.ts';
import { PLAY_COLUMNS } from './sql/play-columns.ts';
import type { UnitSpec } from './units.ts';

/** A crash or a fault can be put between any two steps, by tests. */
export type UnitStep = 'prepare' | 'derive' | 'stage' | 'staged';

export interface UnitOptions {
  signal?: AbortSignal;
  onStep?: (step: UnitStep) => void | Promise<void>;
}

/** Plays go to Postgres in batches of this many. */
const ROWS_A_BATCH = 1_000;

/** What is kept of a unit that was computed. */
export interface UnitResult {
  plays: number;
  events: number;
  /** What the audit found wrong. */
  findings: string[];
  /** What was staged, as it was audited. */
  staged: StagedSum;
}

interface OpenAttempt {
  days: string[];
  by_day: boolean;
  policy: Policy;
  positions: StoredPosition[];
  copies: string[];
  spec: UnitSpec;
}

interface StagedPlay extends PlayRow {
  narrow: Record<string, unknown> | null;
}

/**
 * Computes a unit of an attempt: prepares the facts of its keys, derives their plays by the shared core, audits them against
 * the raw files, and stages them. Done again, it replaces what it did: any worker can do any unit, twice too.
 *
 * @throws AttemptGoneError
 */
export async function computeUnit(
  deps: BatchDeps,
  attempt: number,
  unit: number,
  { signal, onStep = () => {} }: UnitOptions = {},
): Promise<UnitSummary> {
  const { pool } = deps;
  const open = await readUnit(pool, attempt, unit);
  const { spec } = open;
  // Where days are committed one by one, dirty keys are computed for the days that are covered before, by their policies.
  const now = await readCoverage(pool);
  const coverage = open.by_day && spec.kind === 'dirty' ? now : withDays(now, open.days, open.policy);
  const files = await filesOf(pool, open.positions);
  const compute = async (engine: DuckDBConnection, lease: Lease): Promise<UnitSummary> => {
    const records: Records = { files, lease, from: spec.from, to: spec.to };
    await onStep('prepare');
    signal?.throwIfAborted();
    await loadCopies(engine, open.copies, records);
    await loadKeys(engine, pool, attempt, spec, records);
    const keys = new KeysOfUnit(engine);
    const rules = [...coverage.policies.values()].map((policy) => policy.rules.batch);
    const taken = await takeFew(engine, records, rules, deps.few);
    await findChains(engine, taken, rules[0]);
    await keys.load();
    signal?.throwIfAborted();
    await onStep('derive');
    const made = await createMadePlays(engine);
    const deriver = new KeyDeriver(coverage);
    const findings: string[] = [];
    const result = await stage(deps, attempt, unit, async (write) => {
      let batch: StagedPlay[] = [];
      await readFacts(
        engine,
        taken,
        rules,
        (key, facts) => {
          Object.assign(facts, keys.nameOf(key));
          const { lo, hi } = keys.timesOf(key);
          for (const play of deriver.plays(facts, lo, hi)) {
            const fault = weightFault(play);
            if (fault !== null) findings.push(fault);
            made.add(key, Date.parse(play.started_at), Date.parse(play.ended_at));
            batch.push(play);
          }
        },
        async () => {
          signal?.throwIfAborted();
          if (batch.length < ROWS_A_BATCH) return;
          await write(batch);
          batch = [];
        },
      );
      await write(batch);
      await onStep('stage');
      made.close();
      // From the files once more: what was taken of them is not believed.
      const scope: AuditScope = { records: { ...records, only: taken.only }, days: coverage.days, rules: rules[0] };
      const { events, found } = await auditUnit(engine, scope);
      return { events, findings: [...findings, ...found] };
    });
    await onStep('staged');
    return { unit, plays: result.plays, events: result.events };
  };
  return withEngineAndFiles(deps, compute, signal);
}

async function readUnit(database: Queryable, attempt: number, unit: number): Promise<OpenAttempt> {
  const { rows } = await database.query<Omit<OpenAttempt, 'policy'> & { source: PolicySource }>(
    `select a.days::text[] as days, a.by_day, a.positions, a.copies, u.spec, p.source
     from whence.batch_attempts a
     join whence.batch_units u using (attempt)
     join whence.policies p on p.hash = a.policy
     where a.attempt = $1 and u.unit = $2 and a.committed is null`,
    [attempt, unit],
  );
  if (rows.length === 0) throw new AttemptGoneError(attempt);
  const { source, ...open } = rows[0];
  return { ...open, policy: compilePolicy(source) };
}

/** The coverage with the days asked for, by the attempt's policy. */
function withDays(coverage: Coverage, days: readonly string[], policy: Policy): Coverage {
  const policyOf = new Map([...coverage.policyOf, ...days.map((day) => [day, policy.hash] as const)]);
  const used = new Set(policyOf.values());
  const policies = new Map([...coverage.policies, [policy.hash, policy] as const].filter(([hash]) => used.has(hash)));
  return { days: [...policyOf.keys()].sort(), policyOf, policies };
}

/** Makes the table `keys`: the unit's keys with the times that their plays must touch. */
async function loadKeys(
  engine: DuckDBConnection,
  database: Queryable,
  attempt: number,
  spec: UnitSpec,
  records: Records,
): Promise<void> {
  await engine.run('create temp table keys (key INTEGER, profile_id VARCHAR, work_id VARCHAR, lo BIGINT, hi BIGINT)');
  if (spec.kind === 'day') {
    const lo = dayNumber(spec.day) * DAY;
    const hi = lo + DAY - 1;
    const ofDay = await recordsBetween(records, lo, hi);
    if (ofDay === null) return;
    await engine.run(
      `insert into keys
       select (row_number() over ()) - 1, profile_id, work_id, ${lo}, ${hi}
       from (select distinct profile_id, work_id from ${ofDay} where type = 'playback')`,
    );
    return;
  }
  const { rows } = await database.query<{ profile_id: string; work_id: string; lo: number; hi: number }>(
    `select profile_id, work_id, (extract(epoch from from_time) * 1000)::bigint as lo,
       (extract(epoch from to_time) * 1000)::bigint as hi
     from whence.batch_dirty_keys
     where attempt = $1 and bucket between $2 and $3`,
    [attempt, spec.from, spec.to],
  );
  const appender = await engine.createAppender('keys');
  for (const [key, { profile_id, work_id, lo, hi }] of rows.entries()) {
    appender.appendInteger(key);
    appender.appendVarchar(profile_id);
    appender.appendVarchar(work_id);
    appender.appendBigInt(BigInt(lo));
    appender.appendBigInt(BigInt(hi));
    appender.endRow();
  }
  appender.closeSync();
}

/** The names and times of the unit's keys, by number. */
class KeysOfUnit {
  readonly #engine: DuckDBConnection;
  #keys = new Map<number, { profileId: string; workId: string; lo: number; hi: number }>();

  constructor(engine: DuckDBConnection) {
    this.#engine = engine;
  }

  async load(): Promise<void> {
    const reader = await this.#engine.runAndReadAll(
      'select key, profile_id, work_id, lo::DOUBLE, hi::DOUBLE from chains',
    );
    const rows = reader.getRows() as [number, string, string, number, number][];
    this.#keys = new Map(rows.map(([key, profileId, workId, lo, hi]) => [key, { profileId, workId, lo, hi }]));
  }

  nameOf(key: number): { profileId: string; workId: string } {
    const { profileId, workId } = this.#of(key);
    return { profileId, workId };
  }

  timesOf(key: number): { lo: number; hi: number } {
    return this.#of(key);
  }

  #of(key: number) {
    const found = this.#keys.get(key);
    if (found === undefined) throw new RangeError(`There is no key ${key} in this unit`);
    return found;
  }
}

/** Derives the plays of keys, each by the policy of its first covered day. */
class KeyDeriver {
  readonly #coverage: Coverage;
  readonly #classes: ReadonlyMap<string, ClassCodes>;

  constructor(coverage: Coverage) {
    this.#coverage = coverage;
    this.#classes = new Map([...coverage.policies].map(([hash, policy]) => [hash, new ClassCodes(policy)]));
  }

  /** The plays of a key that touch the times, both ends included, and have an event in a covered day. */
  plays(facts: KeyRows, lo: number, hi: number): StagedPlay[] {
    if (!facts.hasPlayback) return [];
    const plays: StagedPlay[] = [];
    for (const [hash, policy] of this.#coverage.policies) {
      const classes = this.#classes.get(hash);
      if (classes === undefined) continue;
      facts.load(classes);
      const decisions = derive(facts, policy.rules.batch).filter(
        (play) => play.endedAt >= lo && play.startedAt <= hi && policyOfPlay(play, this.#coverage.policyOf) === hash,
      );
      if (decisions.length === 0) continue;
      const narrow = narrowed(facts, decisions, policy);
      for (const [i, decision] of decisions.entries()) {
        plays.push(Object.assign(playRow(describePlay(decision, facts), policy), { narrow: narrow[i] }));
      }
    }
    return plays;
  }
}

/** Replaces what was staged of a unit, all or nothing, and keeps what came out of it. */
async function stage(
  { pool }: BatchDeps,
  attempt: number,
  unit: number,
  work: (write: (plays: readonly StagedPlay[]) => Promise<void>) => Promise<Omit<UnitResult, 'plays' | 'staged'>>,
): Promise<UnitResult> {
  return withTransaction(pool, async (client) => {
    // Whoever commits or gives up the attempt waits for us, or we find it gone; a second worker on this unit waits too.
    const { rowCount } = await client.query(
      `select from whence.batch_attempts where attempt = $1 and committed is null for key share`,
      [attempt],
    );
    if (rowCount === 0) throw new AttemptGoneError(attempt);
    await client.query('select from whence.batch_units where attempt = $1 and unit = $2 for update', [attempt, unit]);
    await client.query('delete from whence.batch_staged_plays where attempt = $1 and unit = $2', [attempt, unit]);
    let plays = 0;
    const done = await work(async (rows) => {
      plays += rows.length;
      await writeStaged(client, attempt, unit, rows);
    });
    const staged = (await sumStaged(client, attempt, [unit])).get(unit) ?? { plays: 0, hashes: '0' };
    const result: UnitResult = { ...done, plays, staged };
    await client.query('update whence.batch_units set result = $3 where attempt = $1 and unit = $2', [
      attempt,
      unit,
      JSON.stringify(result),
    ]);
    return result;
  });
}

const STAGED_COLUMNS = ['attempt', 'unit', ...PLAY_COLUMNS];

async function writeStaged(
  client: PoolClient,
  attempt: number,
  unit: number,
  plays: readonly StagedPlay[],
): Promise<void> {
  await copyRows(client, 'whence.batch_staged_plays', STAGED_COLUMNS, plays, (play) => [
    attempt,
    unit,
    ...PLAY_COLUMNS.map((name) => play[name]),
  ]);
}
