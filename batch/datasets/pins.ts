import { compilePolicy, type Policy, type PolicySource } from '../../attribution/policy.ts';
import type { Queryable } from '../../platform/postgres.ts';
import { BatchRequestError } from '../errors.ts';
import type { StoredPosition } from '../snapshot.ts';
import { type DatasetRecipe, daysOf } from './request.ts';

/** A day that the pinned version covers. */
export interface PinnedDay {
  day: string;
  generation: number;
  /** The hash of the policy that it was computed by. */
  policy: string;
}

/** What a dataset is built from, pinned when its build begins: nothing that is committed later changes it. */
export interface DatasetPins {
  /** The version of the batch view that was current. */
  version: number;
  /** The snapshot of that version: where the archive stood, by topic-partition. */
  positions: StoredPosition[];
  /** Of the snapshot: ISO-8601, `complete`, or `none` where nothing is known. */
  watermark: string;
  /** Storage keys of what lists the copies among the records of the snapshot. */
  copies: string[];
  /** All days that the version covers, in order. */
  days: PinnedDay[];
}

/**
 * Reads what is current, in one transaction that sees one state.
 *
 * @throws BatchRequestError where a day of the request is not covered
 */
export async function pinCurrent(database: Queryable, recipe: DatasetRecipe): Promise<DatasetPins> {
  const { rows: heads } = await database.query<Omit<DatasetPins, 'days'>>(
    `select version, v.positions, v.copies,
       case when v.watermark = 'infinity' then 'complete' when v.watermark = '-infinity' then 'none'
         else to_char(v.watermark at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') end as watermark
     from whence.batch_head join whence.batch_versions v using (version)`,
  );
  const { rows: days } = await database.query<PinnedDay>(
    'select day::text as day, generation, policy from whence.batch_days where to_version is null order by day',
  );
  const covered = new Set(days.map(({ day }) => day));
  const missing = daysOf(recipe).filter((day) => !covered.has(day));
  if (missing.length > 0) throw new BatchRequestError(notCovered(missing));
  return { ...heads[0], days };
}

function notCovered(missing: readonly string[]): string {
  const [first, last] = [missing[0], missing[missing.length - 1]];
  const shown = missing.length > 10 ? [...missing.slice(0, 9), `… (${missing.length} days)`, last] : missing;
  const others = missing.length === 1 ? '' : ', and so for each of them';
  const command = `npx whence reconcile --day ${first}${others}`;
  return `The batch layer does not cover ${shown.join(', ')}, so that nothing there has a label; cover it first: ${command}`;
}

/** Epoch milliseconds; Infinity where it is complete. */
export function watermarkTime({ watermark }: Pick<DatasetPins, 'watermark'>): number {
  if (watermark === 'complete') return Infinity;
  return watermark === 'none' ? -Infinity : Date.parse(watermark);
}

/** The policies of the pinned days, by hash. */
export async function policiesOf(database: Queryable, { days }: DatasetPins): Promise<Map<string, Policy>> {
  const { rows } = await database.query<{ hash: string; source: PolicySource }>(
    'select hash, source from whence.policies where hash = any ($1) order by hash',
    [[...new Set(days.map(({ policy }) => policy))]],
  );
  return new Map(rows.map(({ hash, source }) => [hash, compilePolicy(source)]));
}
