import type { Queryable } from '../platform/postgres.ts';
import { SHARED_BY } from './daily.ts';
import { SETTLED_BY } from './discoveries.ts';
import { type KeySet, keySetIn, playsOfKeys } from './keys.ts';

const COLUMNS = [...new Set([...SETTLED_BY, ...SHARED_BY])];

/**
 * Puts the served plays of many keys into a temporary table, as far as they are needed to settle the keys and to share them out.
 *
 * Where no speed play of a key is uncovered and no batch play of it is at an edge, no batch play of it is open: all of these are
 * served, and no speed play is. After a commit that is so of nearly all keys, and takes two look-ups of a key. Of the others the
 * view `served_plays` is asked.
 */
export async function gatherServed(database: Queryable, table: string, keys: KeySet): Promise<void> {
  const ofView = COLUMNS.map((name) => `p.${name}`).join(', ');
  const ofBatch = COLUMNS.map((name) => (name === 'layer' ? `'batch'::text as layer` : `b.${name}`)).join(', ');
  await database.query(
    `create temp table ${table} on commit drop as
     select ${ofBatch}, b.at_edge
     from ${keys.sql} join whence.batch_now b on b.profile_id = k.profile_id and b.work_id = k.work_id`,
    [...keys.parameters],
  );
  await database.query(`analyze ${table} (profile_id, work_id, at_edge)`);
  const open = `open_keys_of_${table}`;
  await database.query(
    `create temp table ${open} on commit drop as
     select k.profile_id, k.work_id
     from ${keys.sql} join whence.speed_now s on s.profile_id = k.profile_id and s.work_id = k.work_id
     where s.uncovered
     union
     select profile_id, work_id from ${table} where at_edge`,
    [...keys.parameters],
  );
  await database.query(`analyze ${open}`);
  await database.query(
    `delete from ${table} t using ${open} k where t.profile_id = k.profile_id and t.work_id = k.work_id`,
  );
  await database.query(
    `insert into ${table} (${COLUMNS.join(', ')})
     select ${ofView} from ${playsOfKeys(keySetIn(open, false), 'served_plays')}`,
  );
  await database.query(`analyze ${table} (profile_id, work_id)`);
}
