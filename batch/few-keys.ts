import type { DuckDBConnection } from '@duckdb/node-api';
import { bucketOf } from '../archive/bucket.ts';
import { asObjects } from '../archive/manifest.ts';
import type { Rules } from '../attribution/policy.ts';
import { FEW, inBuckets, oneOf, takeRows } from './by-name.ts';
import { PLACE, rowsOf } from './engine.ts';
import { filesBetween, FIRST_LOOK, readBefore, type Records } from './facts.ts';

/**
 * Reads the records of the table `keys` (see `findChains`), where they are few, in one go into the table `records_of_keys`, copies
 * left out.
 *
 * @param rules by every policy that will be applied
 * @returns the same records, that are read from the table where it holds the times asked for, and by name where it does not; where
 * there are many keys, as they were
 */
export async function takeFew(
  engine: DuckDBConnection,
  records: Records,
  rules: readonly Rules[],
  few = FEW,
): Promise<Records> {
  const [{ n, lo, hi }] = await rowsOf<{ n: number; lo: number; hi: number }>(
    engine,
    'select count(*) as n, min(lo) as lo, max(hi) as hi from keys',
  );
  if (n === 0 || n > few) return records;
  const { playback, impression } = readBefore(rules);
  const taken = { begin: lo - FIRST_LOOK - Math.max(playback, impression), end: hi + FIRST_LOOK };
  const files = filesBetween(records, taken.begin, taken.end);
  if (files.length === 0) return records;
  const only = await nameKeys(engine);
  await takeRows(engine, 'records_of_keys', await records.lease.take(asObjects(files)), {
    where: only,
    of: '(profile_id, work_id) in (select (profile_id, work_id) from keys)',
  });
  await engine.run(`delete from records_of_keys where (${PLACE}) in (select (${PLACE}) from copies)`);
  return { ...records, only, taken };
}

/** SQL that is true of the records of the table `keys`, and of those of their profiles with the work of another one. */
async function nameKeys(engine: DuckDBConnection): Promise<string> {
  const keys = await rowsOf<{ profile_id: string; work_id: string }>(engine, 'select profile_id, work_id from keys');
  const profiles = keys.map(({ profile_id }) => profile_id);
  const works = keys.map(({ work_id }) => work_id);
  return [inBuckets(profiles.map(bucketOf)), oneOf('profile_id', profiles), oneOf('work_id', works)].join(' and ');
}
