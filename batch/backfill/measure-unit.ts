import type { BatchDeps, UnitSummary } from '../advance.ts';

/** What was measured longer ago says little of today. */
const KEPT = '30 days';

/** Keeps how long a unit took, for the estimates of those to come. */
export async function measureUnit(
  { pool }: BatchDeps,
  attempt: number,
  { unit, plays }: UnitSummary,
  ms: number,
): Promise<void> {
  await pool.query(
    `with forgotten as (
       delete from whence.measured_units where measured_at < now() - interval '${KEPT}'
     )
     insert into whence.measured_units (records, plays, ms)
     select a.records::double precision / cardinality(a.days) / (
       select count(*) from whence.batch_units o where o.attempt = a.attempt and o.spec ->> 'day' = u.spec ->> 'day'
     ), $3, $4
     from whence.batch_attempts a join whence.batch_units u using (attempt)
     where a.attempt = $1 and u.unit = $2 and u.spec ->> 'kind' = 'day'`,
    [attempt, unit, plays, Math.round(ms)],
  );
}
