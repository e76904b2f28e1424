import { prepared } from '../platform/postgres.ts';
import type { StatementRunner } from '../platform/statements.ts';
import { type KeySet, playsOfKeys } from './keys.ts';

const SOURCE = ['surface', 'class', 'row_type', 'row_id', 'row_rank', 'position', 'impression_id', 'evidence'];
const COLUMNS = ['play_id', 'discovered_at', ...SOURCE.map((name) => `sod_${name}`), 'assisted', 'layer'];
const OF_PLAY = ['play_id', 'started_at', ...SOURCE.map((name) => `own_${name}`), 'own_assisted', 'layer'];

/** What of a served play is needed to settle its key. */
export const SETTLED_BY = ['profile_id', 'work_id', 'qualified', ...OF_PLAY];

/** Whose rows: each layer writes its own, so that none waits for the other. */
export type Settler = 'speed' | 'batch';

/**
 * Makes the earliest qualified play of each key, of those that are served, its discovery; keys without one have none. Whoever
 * changes what is served calls it in the same transaction. What is said already, by whichever layer, is not said again.
 *
 * @param served their served plays as `p`, where somebody has them ready
 */
export async function settleDiscoveries(
  database: StatementRunner,
  keys: KeySet,
  settler: Settler,
  served = playsOfKeys(keys, 'served_plays'),
): Promise<void> {
  const mine = settler === 'batch';
  await database.query(
    prepared(
      `with found as (
       select distinct on (p.profile_id, p.work_id) p.profile_id, p.work_id, ${OF_PLAY.map((name) => `p.${name}`).join(', ')}
       from ${served}
       where p.qualified
       order by p.profile_id, p.work_id, p.started_at
     ), changed as (
       select k.profile_id, k.work_id, ${OF_PLAY.map((name) => `f.${name}`).join(', ')}
       from ${keys.sql}
       left join found f using (profile_id, work_id)
       left join lateral (
         select * from whence.key_discoveries o where o.profile_id = k.profile_id and o.work_id = k.work_id
         order by o.settled desc, o.by_batch limit 1
       ) d on d.play_id is not null
       where (${OF_PLAY.map((name) => `f.${name}`).join(', ')}) is distinct from (${COLUMNS.map((name) => `d.${name}`).join(', ')})
     ), gone as (
       -- Where the other layer says nothing, neither need this one.
       delete from whence.key_discoveries d using changed c
       where c.play_id is null and d.profile_id = c.profile_id and d.work_id = c.work_id and d.by_batch = ${mine}
         and not exists (
           select from whence.key_discoveries o
           where o.profile_id = d.profile_id and o.work_id = d.work_id and o.by_batch <> ${mine}
         )
     )
     insert into whence.key_discoveries as d (profile_id, work_id, ${COLUMNS.join(', ')}, by_batch, settled)
     select profile_id, work_id, ${OF_PLAY.slice(0, -1).join(', ')}, coalesce(layer, '${settler}'), ${mine},
       coalesce((select settled from whence.batch_head), 0)
     from changed c
     where c.play_id is not null or exists (
       select from whence.key_discoveries o
       where o.profile_id = c.profile_id and o.work_id = c.work_id and o.by_batch <> ${mine}
     )
     on conflict (profile_id, work_id, by_batch) do update set
       ${[...COLUMNS, 'settled'].map((name) => `${name} = excluded.${name}`).join(', ')}`,
      keys.parameters,
    ),
  );
}
