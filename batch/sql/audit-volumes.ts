import type { Queryable } from '../../platform/postgres.ts';

interface Volume {
  day: string;
  plays: number;
  median: number;
  neighbours: number;
  factor: number;
}

/**
 * Days of these that have far fewer or far more plays than the median of their neighbours, in words. Of few days, or few plays,
 * nothing is expected; a day that is not over by the watermark may have few; `whence.volume_exceptions` may have any number.
 *
 * @param watermark as Postgres writes a time
 */
export async function faultsOfVolumes(
  database: Queryable,
  days: readonly string[],
  watermark: string,
): Promise<string[]> {
  const { rows } = await database.query<Volume>(
    `select d.day::text as day, d.plays, n.median, n.neighbours, b.factor
     from whence.batch_days d
     cross join whence.volume_bounds b
     cross join lateral (
       select count(*) as neighbours, percentile_cont(0.5) within group (order by o.plays) as median
       from whence.batch_days o
       where o.to_version is null and o.day <> d.day
         and o.day between d.day - b.neighbour_days and d.day + b.neighbour_days
     ) n
     where d.to_version is null and d.day = any ($1::date[]) and n.neighbours >= b.least_neighbours
       and d.day not in (select e.day from whence.volume_exceptions e)
       and (
         n.median >= b.least_plays and d.plays * b.factor < n.median
           and (d.day + 1)::timestamp at time zone 'UTC' <= $2::timestamptz
         or d.plays >= b.least_plays and d.plays > n.median * b.factor
       )
     order by d.day`,
    [days, watermark],
  );
  return rows.map(
    ({ day, plays, median, neighbours, factor }) =>
      `${day} has ${plays} plays, and the median of its ${neighbours} neighbours is ${median}: less than 1/${factor}, or more ` +
      `than ${factor} times as many, are not believed. Where they are right, say why: insert into whence.volume_exceptions ` +
      `(day, because) values ('${day}', '…')`,
  );
}
