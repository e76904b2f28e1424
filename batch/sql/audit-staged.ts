import type { Queryable } from '../../platform/postgres.ts';

/** What was staged of a unit: how many plays, and a sum of the hashes of their rows. */
export interface StagedSum {
  plays: number;
  hashes: string;
}

/** Of these units, by unit. */
export async function sumStaged(
  database: Queryable,
  attempt: number,
  units: readonly number[],
): Promise<Map<number, StagedSum>> {
  const { rows } = await database.query<StagedSum & { unit: number }>(
    `select s.unit, count(*) as plays, sum(hash_record_extended(s, 0)::numeric)::text as hashes
     from whence.batch_staged_plays s where s.attempt = $1 and s.unit = any ($2) group by s.unit`,
    [attempt, units],
  );
  return new Map(rows.map(({ unit, plays, hashes }) => [unit, { plays, hashes }]));
}

/** What is wrong with the staged plays of an attempt, in words; to be asked where their sums are not those audited. */
export async function faultsOfStaged(database: Queryable, attempt: number): Promise<string[]> {
  const { rows } = await database.query<{ fault: string }>(
    `with staged as (select * from whence.batch_staged_plays where attempt = $1)
     (select 'play ' || play_id || ' is ' || count(*) || ' plays' as fault
      from staged group by unit, play_id having count(*) > 1 limit 3)
     union all
     (select 'play ' || play_id || ': the weights of a model sum to ' || m.sum / 1e9::numeric || ', not to 1'
      from staged s
      cross join lateral (
        select sum(w.weight) as sum
        from unnest(s.path_weights) with ordinality w (weight, place)
        group by (w.place - 1) / greatest(1, cardinality(s.path_impression_id))
      ) m
      where m.sum <> 1000000000 limit 3)
     union all
     (select 'play ' || play_id || ': there is no evidence "' || e.evidence || '"'
      from staged s cross join lateral (values (s.sop_evidence), (s.own_evidence)) e (evidence)
      where e.evidence not in ('exact', 'claimed', 'inferred', 'none') limit 3)`,
    [attempt],
  );
  return rows.map(({ fault }) => fault);
}
