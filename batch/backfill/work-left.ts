import type { BatchDeps } from '../advance.ts';

/** The units of an attempt that are not computed yet. */
export interface WorkLeft {
  /** To be computed before any day is committed. */
  dirty: number[];
  days: { day: string; units: number[] }[];
}

export async function readWorkLeft({ pool }: BatchDeps, attempt: number): Promise<WorkLeft> {
  const { rows } = await pool.query<{ day: string | null; units: number[] }>(
    `select spec ->> 'day' as day, coalesce(array_agg(unit order by unit) filter (where result is null), '{}') as units
     from whence.batch_units where attempt = $1 group by 1 order by 1`,
    [attempt],
  );
  return {
    dirty: rows.find(({ day }) => day === null)?.units ?? [],
    days: rows.flatMap(({ day, units }) => (day === null ? [] : [{ day, units }])),
  };
}
