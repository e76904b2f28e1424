import { areMany } from '../../merge/keys.ts';
import type { Queryable } from '../../platform/postgres.ts';
import { createAffectedKeys, findMoved, hasUncoveredDay, KEYS_OF_MOVED_SPEED_PLAYS } from './changes.ts';
import { ANALYZED_FROM, analyzePlays, PLAY_COLUMNS } from './play-columns.ts';

/**
 * Holds the current plays and days against those of another version. Afterwards `adding` has the plays that come back, `closing`
 * the ids of those that end, `next_days` the days of that version; what is the same in both is left alone.
 */
export async function findReturning(database: Queryable, version: number): Promise<void> {
  await database.query(
    `create temp table adding on commit drop as
     select ${PLAY_COLUMNS.join(', ')}, coalesce(written_by, from_version) as written_by
     from whence.batch_plays where from_version <= ${version} and to_version > ${version}`,
  );
  await database.query(
    `create temp table closing on commit drop as
     select play_id, profile_id, work_id, coalesce(written_by, from_version) as written_by
     from whence.batch_plays where to_version is null and from_version > ${version}`,
  );
  // A version computes a play once: the same id of the same version is the same row.
  await database.query(
    `create temp table unchanged on commit drop as select play_id from adding join closing using (play_id, written_by)`,
  );
  await database.query('delete from adding using unchanged u where u.play_id = adding.play_id');
  await database.query('delete from closing using unchanged u where u.play_id = closing.play_id');
  await database.query(
    `create temp table next_days on commit drop as
     select day, generation, policy, plays from whence.batch_days
     where from_version <= ${version} and (to_version is null or to_version > ${version})`,
  );
  await analyzePlays(database, 'adding');
  for (const table of ['closing', 'next_days']) await database.query(`analyze ${table}`);
}

/**
 * Finds the keys of whose plays others may be served after a rollback, into `affected_keys`: those of changed plays, of batch plays
 * that are open now or will be, and of speed plays that are covered now and will not be, or the other way round.
 *
 * @returns whether they are many, against the plays there are
 */
export async function findKeysOfRollback(database: Queryable, version: number, finalAfterMs: number): Promise<boolean> {
  await database.query(
    `create temp table next_horizons on commit drop as
     select topic, partition, next
     from whence.batch_versions v, jsonb_to_recordset(v.positions) p (topic text, partition integer, next bigint)
     where v.version = $1`,
    [version],
  );
  await findMoved(database);
  await createAffectedKeys(database);
  const { rowCount: keys } = await database.query(
    `insert into affected_keys
     select profile_id, work_id from adding
     union
     select profile_id, work_id from closing
     union
     select b.profile_id, b.work_id from whence.batch_now b
     where b.at_edge or ${hasUncoveredDay('b')} or b.ended_at >= (
       select v.watermark - make_interval(secs => $2) from whence.batch_versions v where v.version = $1
     )
     union
     ${KEYS_OF_MOVED_SPEED_PLAYS}`,
    [version, finalAfterMs / 1000],
  );
  await database.query('analyze affected_keys');
  return areMany(database, keys ?? 0);
}

/** Ends what is not of the version and brings back what is. @returns how many plays and days changed */
export async function writeReturn(database: Queryable, number: number): Promise<{ plays: number; days: number }> {
  const { rows: changed } = await database.query<{ n: number }>(
    'select count(*) as n from (select play_id from adding union select play_id from closing) c',
  );
  await database.query(
    `update whence.batch_plays b set to_version = $1 from closing c where b.play_id = c.play_id and b.to_version is null`,
    [number],
  );
  const columns = `${PLAY_COLUMNS.join(', ')}, written_by`;
  await database.query(
    `insert into whence.batch_plays (from_version, ${columns}) select $1::bigint, ${columns} from adding`,
    [number],
  );
  if (changed[0].n > ANALYZED_FROM) await analyzePlays(database, 'whence.batch_plays', ['from_version', 'to_version']);
  const { rowCount: ended } = await database.query(
    `update whence.batch_days d set to_version = $1
     where d.to_version is null
       and not exists (select from next_days n where n.day = d.day and n.generation = d.generation)`,
    [number],
  );
  const { rowCount: begun } = await database.query(
    `insert into whence.batch_days (day, from_version, generation, policy, plays)
     select n.day, $1, n.generation, n.policy, n.plays from next_days n
     where not exists (select from whence.batch_days d where d.to_version is null and d.day = n.day)`,
    [number],
  );
  return { plays: changed[0].n, days: Math.max(ended ?? 0, begun ?? 0) };
}

/** Makes the version current, and held, by the rollback of this number; its horizons are those of the view. */
export async function holdHead(
  database: Queryable,
  version: number,
  number: number,
  gapMs: number,
  finalAfterMs: number,
): Promise<void> {
  await database.query(
    `update whence.batch_head h set version = v.version, held = true, watermark = v.watermark,
       stitching_gap = make_interval(secs => $2), final_after = make_interval(secs => $3), settled = $4
     from whence.batch_versions v where v.version = $1`,
    [version, gapMs / 1000, finalAfterMs / 1000, number],
  );
  await database.query('delete from whence.batch_horizons');
  await database.query(
    'insert into whence.batch_horizons (topic, partition, next_offset) select topic, partition, next from next_horizons',
  );
}

/** Marks which versions the current one was made from, and which were rolled back over; corrections follow. */
export async function markUndone(database: Queryable, version: number): Promise<void> {
  await database.query(
    `with recursive line as (
       select version, parent from whence.batch_versions where version = $1
       union all
       select v.version, v.parent from line join whence.batch_versions v on v.version = line.parent
     )
     update whence.batch_versions v set undone = v.version not in (select version from line)
     where undone <> (v.version not in (select version from line))`,
    [version],
  );
  // What was compared together with a later version has its corrections there: it is compared anew, by itself.
  await database.query(
    `update whence.batch_versions v set compared = false, compared_with = null
     where not v.undone and v.compared
       and (select w.undone from whence.batch_versions w where w.version = v.compared_with)`,
  );
}
