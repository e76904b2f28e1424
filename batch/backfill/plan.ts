import { utcDay, DAY } from '../../attribution/time.ts';
import type { Queryable } from '../../platform/postgres.ts';
import type { BatchDeps } from '../advance.ts';
import { BatchRequestError } from '../errors.ts';
import { filesOf, readSnapshot } from '../snapshot.ts';

/** Which days of the range. */
export type BackfillOnly = 'missing' | 'dirty' | 'failed' | 'all';

export interface BackfillRequest {
  /** The first and the last day: UTC, YYYY-MM-DD. */
  from: string;
  to: string;
  preview: boolean;
  /** Days that are computed at once. */
  parallel: number;
  only: BackfillOnly;
  order: 'oldest' | 'newest';
}

export interface BackfillEstimate {
  /** Archived records of the days. */
  records: number;
  /** Null where no unit was measured yet. */
  seconds: number | null;
  plays: number | null;
}

export interface BackfillPlan {
  backfill: number;
  /** In the order in which they are done. */
  days: string[];
  estimate: BackfillEstimate;
}

const MOST_DAYS = 1_100;
/** All that a preview computes is kept until it is approved. */
const MOST_PREVIEWED = 92;
/** Units that estimates are made of. */
const UNITS_LOOKED_AT = 200;

/**
 * Chooses the days, estimates the work from the archived records and the speed of recent units, and notes the backfill. Done
 * again for the same run of a workflow, it gives the same.
 *
 * @throws BatchRequestError where the range makes no sense
 */
export async function planBackfill(
  { pool }: BatchDeps,
  request: BackfillRequest,
  by: { workflowId: string; runId: string; actor: string },
): Promise<BackfillPlan> {
  const range = daysBetween(request);
  const days = await choose(pool, request, range);
  const files = await filesOf(pool, (await readSnapshot(pool)).positions);
  const recordsOf = (day: string) => files.reduce((sum, file) => sum + (file.days[day] ?? 0), 0);
  const records = days.map(recordsOf);
  const estimate = await estimateOf(
    pool,
    records.reduce((sum, n) => sum + n, 0),
    request.parallel,
  );
  const { rows } = await pool.query<{ backfill: number }>(
    `with noted as (
       insert into whence.backfills (workflow_id, run_id, from_day, to_day, request, actor, estimate)
       values ($1, $2, $3, $4, $5, $6, $7)
       on conflict (workflow_id, run_id) do update set estimate = excluded.estimate
       returning backfill
     ), of_days as (
       insert into whence.backfill_days (backfill, day, status, records)
       select backfill, day, 'left', records from noted, unnest($8::date[], $9::bigint[]) d (day, records)
       on conflict do nothing
     )
     select backfill from noted`,
    [
      by.workflowId,
      by.runId,
      request.from,
      request.to,
      JSON.stringify(request),
      by.actor,
      JSON.stringify(estimate),
      days,
      records,
    ],
  );
  return { backfill: rows[0].backfill, days, estimate };
}

/** @throws BatchRequestError */
function daysBetween({ from, to, preview }: BackfillRequest): string[] {
  const first = Date.parse(`${from}T00:00:00Z`);
  const count = (Date.parse(`${to}T00:00:00Z`) - first) / DAY + 1;
  if (count < 1) throw new BatchRequestError(`from ${from} is after to ${to}; swap them`);
  const most = preview ? MOST_PREVIEWED : MOST_DAYS;
  if (count > most) {
    const what = preview ? 'A preview' : 'A backfill';
    throw new BatchRequestError(
      `${what} takes at most ${most} days, ${from} to ${to} are ${count}; ask for them in parts`,
    );
  }
  return Array.from({ length: count }, (_, i) => utcDay(first + i * DAY));
}

const CHOICES: Record<BackfillOnly, string> = {
  all: 'true',
  missing: 'not exists (select from whence.batch_days b where b.day = d.day and b.to_version is null)',
  dirty: 'exists (select from whence.days v where v.day = d.day and v.covered and v.dirty_keys > 0)',
  // As the last backfill that had the day says.
  failed: `(
    select b.status from whence.backfill_days b where b.day = d.day and b.status <> 'left' order by b.backfill desc limit 1
  ) = 'failed'`,
};

async function choose(database: Queryable, { only, order }: BackfillRequest, range: string[]): Promise<string[]> {
  const { rows } = await database.query<{ day: string }>(
    `select d.day::text as day from unnest($1::date[]) d (day) where ${CHOICES[only]}
     order by d.day ${order === 'newest' ? 'desc' : 'asc'}`,
    [range],
  );
  return rows.map(({ day }) => day);
}

async function estimateOf(database: Queryable, records: number, parallel: number): Promise<BackfillEstimate> {
  const { rows } = await database.query<{ records: number; plays: number; ms: number }>(
    `select coalesce(sum(records), 0) as records, coalesce(sum(plays), 0)::bigint as plays, coalesce(sum(ms), 0)::bigint as ms
     from (select * from whence.measured_units where records > 0 order by measured_at desc limit $1) recent`,
    [UNITS_LOOKED_AT],
  );
  const [measured] = rows;
  if (measured.records === 0) return { records, seconds: null, plays: null };
  return {
    records,
    seconds: (records * measured.ms) / measured.records / 1000 / parallel,
    plays: Math.round((records * measured.plays) / measured.records),
  };
}
