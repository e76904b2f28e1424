import type { Queryable } from '../platform/postgres.ts';
import type { KeySet } from './keys.ts';

const SOURCE = ['surface', 'class', 'row_type', 'row_id', 'row_rank', 'position', 'impression_id', 'evidence'];
const COLUMNS = ['play_id', 'discovered_at', ...SOURCE.map((name) => `sod_${name}`), 'assisted', 'layer'];

/**
 * Makes the earliest qualified play of each key, of those that are served, its discovery; keys without one have none. Whoever
 * changes what is served calls it in the same transaction.
 */
export async function settleDiscoveries(database: Queryable, keys: KeySet): Promise<void> {
  await database.query(
    `with found as (
       select distinct on (p.profile_id, p.work_id) p.profile_id, p.work_id, p.play_id, p.started_at,
         ${SOURCE.map((name) => `p.own_${name}`).join(', ')}, p.own_assisted, p.layer
       from ${keys.sql}
       join whence.served_plays p using (profile_id, work_id)
       where p.qualified
       order by p.profile_id, p.work_id, p.started_at
     ), gone as (
       delete from whence.key_discoveries d using ${keys.sql}
       where d.profile_id = k.profile_id and d.work_id = k.work_id
         and not exists (select from found f where f.profile_id = d.profile_id and f.work_id = d.work_id)
     )
     insert into whence.key_discoveries as d (profile_id, work_id, ${COLUMNS.join(', ')})
     select * from found
     on conflict (profile_id, work_id) do update set ${COLUMNS.map((name) => `${name} = excluded.${name}`).join(', ')}
     where (${COLUMNS.map((name) => `d.${name}`).join(', ')})
       is distinct from (${COLUMNS.map((name) => `excluded.${name}`).join(', ')})`,
    [...keys.parameters],
  );
}
