import type { Queryable } from '../../platform/postgres.ts';
import type { SpeedPlayRow, TouchedKey } from '../task-state.ts';

/**
 * Replaces the plays of the touched keys that end where something changed, or later: what is derived now is written, what
 * is no longer derived (a play that became one with another, or starts earlier now) goes.
 * A producer that spreads a profile over partitions gives two tasks a part of its plays each; neither deletes the other's.
 *
 * Rows come as one JSON text: a single parameter, whatever the number of columns and the length of their arrays.
 */
export async function writePlays(
  database: Queryable,
  task: number,
  touched: readonly TouchedKey[],
  plays: readonly SpeedPlayRow[],
): Promise<void> {
  await database.query(
    `delete from whence.speed_plays p
     using json_to_recordset($1) as t (profile_id text, work_id text, affected_from timestamptz)
     where p.profile_id = t.profile_id and p.work_id = t.work_id and p.ended_at >= t.affected_from and p.task = $3
       and not exists (
         select from json_to_recordset($2) as n (play_id uuid) where n.play_id = p.play_id
       )`,
    [JSON.stringify(touched), JSON.stringify(plays.map(({ play_id }) => ({ play_id }))), task],
  );
  if (plays.length === 0) return;
  await database.query(
    `insert into whence.speed_plays
     select * from json_populate_recordset(null::whence.speed_plays, $1)
     on conflict (play_id) do update set ${UPDATES}`,
    [JSON.stringify(plays)],
  );
}

const SOURCE_COLUMNS = ['surface', 'class', 'row_type', 'row_id', 'row_rank', 'position', 'impression_id', 'evidence'];
const PATH_COLUMNS = [
  'impression_id',
  'surface',
  'row_type',
  'row_id',
  'row_rank',
  'position',
  'touched_at',
  'weights',
];
/** All but what the id is made of. */
const COLUMNS = [
  ['task', 'playback_id', 'playback_ids', 'title_id', 'country', 'device_type', 'ended_at', 'watched_ms', 'qualified'],
  [
    'event_topics',
    'event_offsets',
    'inferred_start',
    'inferred_end',
    'orphan_token',
    'rule',
    'policy',
    'own_assisted',
    'touches_omitted',
  ],
  SOURCE_COLUMNS.map((name) => `sop_${name}`),
  SOURCE_COLUMNS.map((name) => `own_${name}`),
  PATH_COLUMNS.map((name) => `path_${name}`),
].flat();
const UPDATES = COLUMNS.map((name) => `${name} = excluded.${name}`).join(', ');
