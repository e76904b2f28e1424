import type { Queryable } from '../platform/postgres.ts';

// What the demo asks Postgres: the statements are for people to use, too.

export const TOP_ROWS = `select coalesce(sod_row_type, sod_surface) as source, sum(discoveries)::bigint as discoveries,
  sum(plays)::bigint as plays, round(sum(watched_hours)::numeric, 1)::double precision as hours
from whence.daily_discovery
group by 1 order by discoveries desc, source limit 8`;

export const CORRECTIONS = `select cause, count(*) as plays from whence.corrections group by cause order by plays desc`;

/** Where batch credits another row than speed did, since it saw further back. */
export const CORRECTED_PLAY = `select play_id, cause,
  coalesce(speed ->> 'sod_row_type', speed ->> 'sod_surface') as speed_said,
  coalesce(batch ->> 'sod_row_type', batch ->> 'sod_surface') as batch_says
from whence.corrections
join whence.plays using (play_id)
where speed ? 'sod_row_type' and batch ->> 'sod_row_type' is not null and layer = 'batch'
order by is_discovery desc, cause desc, play_id limit 1`;

export type Row = Record<string, string | number | null>;

export async function ask(database: Queryable, sql: string): Promise<Row[]> {
  const { rows } = await database.query<Row>(sql);
  return rows;
}

export interface StreamProgress {
  records: number;
  plays: number;
}

export async function streamProgress(database: Queryable): Promise<StreamProgress> {
  const { rows } = await database.query<StreamProgress>(
    `select coalesce(sum(consumed), 0)::bigint as records, (select count(*) from whence.speed_plays) as plays
     from whence.ledger`,
  );
  return rows[0];
}

/** Whether a play of the profile can be seen. */
export async function isVisible(database: Queryable, profileId: string): Promise<boolean> {
  const { rowCount } = await database.query('select from whence.plays where profile_id = $1', [profileId]);
  return rowCount === 1;
}
