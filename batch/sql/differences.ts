import type { Queryable } from '../../platform/postgres.ts';
import { COMPARED } from '../narrow.ts';
import { analyzePlays } from './play-columns.ts';

/** What `corrections` calls a column: people know a play's own candidate as its source of discovery. */
const SHOWN = (column: string) => column.replace(/^own_assisted$/, 'assisted').replace(/^own_/, 'sod_');
const said = (play: string) => `jsonb_build_object(${COMPARED.map((name) => `'${name}', ${play}.${name}`).join(', ')})`;

/** A difference whose cause the tables alone do not tell. Times are epoch milliseconds. */
export interface OpenDifference {
  play_id: string;
  profile_id: string;
  work_id: string;
  from_time: number;
  to_time: number;
}

/**
 * Holds the plays that the batch layer serves since version `since` against those of the speed layer, into the table
 * `differences`. Where the tables tell the cause, it is there: `policy`, `window`, `stitched`; else it is null.
 *
 * @param since the version up to which plays were compared, 0 for none
 * @param days the first version from it on whose days are known
 */
export async function findDifferences(database: Queryable, since: number, days: number): Promise<void> {
  await database.query(
    `create temp table differences (
       play_id uuid primary key, day date, profile_id text, work_id text, started_at timestamptz, ended_at timestamptz,
       cause text, speed jsonb, batch jsonb
     ) on commit drop`,
  );
  // Served by batch: then every event of its span is covered, and what the speed layer says of the same span is all it will say.
  await database.query(
    `create temp table begun on commit drop as
     select b.*, ${said('b')} as said
     from whence.batch_plays b
     join whence.served_of_batch p on p.play_id = b.play_id
     -- Of a settled day the speed layer's plays are gone: nothing can be compared.
     where b.to_version is null and not exists (
       select from whence.settled_days e where e.day between b.day and (b.ended_at at time zone 'UTC')::date
     ) and (
       coalesce(b.written_by, b.from_version) > $1
       or not (select v.watermark from whence.batch_versions v where v.version = $1)
         > b.ended_at + (select final_after from whence.batch_head)
       or (
         select count(*) from whence.batch_days c
         where c.from_version <= $2 and (c.to_version is null or c.to_version > $2)
           and c.day between b.day and (b.ended_at at time zone 'UTC')::date
       ) <= (b.ended_at at time zone 'UTC')::date - b.day
       or b.play_id in (select play_id from whence.batch_uncompared where version = $1)
     )`,
    [since, days],
  );
  await analyzePlays(database, 'begun');
  await database.query(
    `insert into differences
     select b.play_id, b.day, b.profile_id, b.work_id, b.started_at, b.ended_at,
       case
         when s.plays > 1 or s.split then 'stitched'
         when s.plays = 1 and s.policy <> b.policy then 'policy'
         when s.said[1] = b.said || coalesce(b.narrow, '{}') then 'window'
       end,
       case when s.plays > 1 then to_jsonb(s.said) else s.said[1] end,
       b.said
     from begun b
     left join lateral (
       select count(*) as plays, array_agg(${said('s')} order by s.started_at) as said, min(s.policy) as policy,
         bool_or(exists (
           select from whence.batch_plays o
           where o.to_version is null and o.profile_id = s.profile_id and o.work_id = s.work_id and o.play_id <> b.play_id
             and o.started_at <= s.ended_at and o.ended_at >= s.started_at
         )) as split
       from whence.speed_plays s
       where s.profile_id = b.profile_id and s.work_id = b.work_id
         and s.started_at <= b.ended_at and s.ended_at >= b.started_at
     ) s on true
     where s.plays <> 1 or s.said[1] <> b.said`,
  );
  // Plays that only the speed layer has, and does not serve any more.
  await database.query(
    `insert into differences
     select s.play_id, s.day, s.profile_id, s.work_id, s.started_at, s.ended_at, null, ${said('s')}, null
     from whence.speed_now s
     where not s.uncovered
       and not exists (
         select from whence.batch_plays b
         where b.to_version is null and b.profile_id = s.profile_id and b.work_id = s.work_id
           and b.started_at <= s.ended_at and b.ended_at >= s.started_at
       )
       and not exists (select from whence.served_of_speed p where p.play_id = s.play_id)
       and not exists (select from whence.corrections c where c.play_id = s.play_id and c.batch is null)`,
  );
}

/** The differences whose cause is still to be found. */
export async function openDifferences(database: Queryable): Promise<OpenDifference[]> {
  const { rows } = await database.query<OpenDifference>(
    `select play_id, profile_id, work_id, (extract(epoch from started_at) * 1000)::bigint as from_time,
       (extract(epoch from ended_at) * 1000)::bigint as to_time
     from differences where cause is null`,
  );
  return rows;
}

/** Writes the differences as corrections of a version. @returns how many of each cause */
export async function writeCorrections(
  database: Queryable,
  version: number,
  causes: ReadonlyMap<string, string>,
): Promise<Record<string, number>> {
  await database.query(
    `update differences d set cause = c.cause
     from unnest($1::uuid[], $2::text[]) c (play_id, cause) where c.play_id = d.play_id`,
    [[...causes.keys()], [...causes.values()]],
  );
  // Of each side what differs, by the names that people know; whole where the other side has nothing to compare.
  const different = (side: string, other: string) => `
    case when jsonb_typeof(d.${side}) = 'object' and jsonb_typeof(d.${other}) = 'object' then (
      select jsonb_object_agg(n.shown, d.${side} -> n.name)
      from unnest($2::text[], $3::text[]) n (name, shown)
      where d.${side} -> n.name is distinct from d.${other} -> n.name
    ) when jsonb_typeof(d.${side}) = 'array' then (
      select jsonb_agg((
        select jsonb_object_agg(n.shown, play -> n.name) from unnest($2::text[], $3::text[]) n (name, shown)
      )) from jsonb_array_elements(d.${side}) play
    ) when d.${side} is not null then (
      select jsonb_object_agg(n.shown, d.${side} -> n.name) from unnest($2::text[], $3::text[]) n (name, shown)
    ) end`;
  const { rows } = await database.query<{ cause: string; n: number }>(
    `with written as (
       insert into whence.batch_corrections (day, profile_id, work_id, play_id, cause, speed, batch, generation)
       select d.day, d.profile_id, d.work_id, d.play_id, coalesce(d.cause, 'unexplained'),
         ${different('speed', 'batch')}, ${different('batch', 'speed')}, $1
       from differences d
       on conflict (generation, play_id) do nothing
       returning cause
     )
     select cause, count(*) as n from written group by cause order by cause`,
    [version, COMPARED, COMPARED.map(SHOWN)],
  );
  return Object.fromEntries(rows.map(({ cause, n }) => [cause, n]));
}
