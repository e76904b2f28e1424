import type { DuckDBConnection } from '@duckdb/node-api';
import type { Rules } from '../attribution/policy.ts';
import { DAY } from '../attribution/time.ts';
import type { Queryable } from '../platform/postgres.ts';
import { parquet, PLACE, rowsOf } from './engine.ts';
import { dayNumber, type Reach, reachOfImpression, reachOfPlayback } from './reach.ts';

/** A key whose plays in covered days may have changed, and the times between which. Epoch milliseconds. */
export interface DirtyKey {
  bucket: number;
  profile_id: string;
  work_id: string;
  from_time: number;
  to_time: number;
}

/**
 * The keys with facts that were archived since the current version, where these can change a play that has an event in a
 * covered day. The table `copies` holds the copies that were found since: an archived record that turned out to be one takes
 * its fact away.
 *
 * @param added files that the current version's snapshot does not hold
 * @param covered days, in order
 * @param rules by every policy of a covered day
 */
export async function findDirtyKeys(
  engine: DuckDBConnection,
  database: Queryable,
  added: readonly string[],
  covered: readonly string[],
  rules: readonly Rules[],
): Promise<DirtyKey[]> {
  if (covered.length === 0) return [];
  const playback = widest(rules.map(reachOfPlayback));
  const impression = widest(rules.map(reachOfImpression));
  const gap = Math.max(...rules.map((each) => each.stitchingGap));
  // What was added may be much more than fits in memory: it is read through, and what does not reach is let go.
  await engine.run(
    `create temp table added_copies as
     select ${PLACE} from ${parquet(added)} where (${PLACE}) in (select (${PLACE}) from copies)`,
  );
  // An added record that is a copy adds no fact. One that makes a copy of a record from before takes that one's away.
  const from = (source: string) => `select bucket, profile_id, work_id,
      event_time - case when type = 'playback' then ${playback.before} else ${impression.before} end as from_time,
      event_time + case when type = 'playback' then ${playback.after} else ${impression.after} end as to_time
    from ${source} where (${PLACE}) not in (select (${PLACE}) from added_copies)`;
  const reaching = `(${from(parquet(added))} union all ${from('copies')})`;
  const days = Math.ceil(Math.max(playback.before + playback.after, impression.before + impression.after) / DAY);
  await loadCoverage(engine, covered, days);
  const beyond = await loadPlaysBeyond(engine, database, gap);
  // Times are taken together by key: what lies between two changes is derived again in vain, which harms nobody.
  return rowsOf<DirtyKey>(
    engine,
    `select bucket::INTEGER as bucket, profile_id, work_id, min(from_time) as from_time, max(to_time) as to_time
     from (
       select r.* from ${reaching} r
       join coverage c on c.day = r.from_time // ${DAY}
       where c.next_covered <= r.to_time // ${DAY}
       ${
         beyond === 0
           ? ''
           : `union all
              select r.* from ${reaching} r
              join plays_beyond b using (profile_id, work_id)
              where r.from_time <= b.to_time and r.to_time >= b.from_time`
       }
     )
     group by bucket, profile_id, work_id
     order by bucket, profile_id, work_id`,
  );
}

function widest(reaches: readonly Reach[]): Reach {
  return {
    before: Math.max(...reaches.map((reach) => reach.before)),
    after: Math.max(...reaches.map((reach) => reach.after)),
  };
}

/** For each day in which a reach of so many days can begin, the next covered day. */
async function loadCoverage(engine: DuckDBConnection, covered: readonly string[], days: number): Promise<void> {
  await engine.run(
    `create temp table coverage as
     select c - back as day, min(c) as next_covered
     from unnest([${covered.map(dayNumber).join(', ')}]) as t (c), range(${days + 1}) as r (back) group by all`,
  );
}

/** Plays of covered days that go on in days that are not: facts there can change them too. @returns how many */
async function loadPlaysBeyond(engine: DuckDBConnection, database: Queryable, gap: number): Promise<number> {
  await engine.run(
    'create temp table plays_beyond (profile_id VARCHAR, work_id VARCHAR, from_time BIGINT, to_time BIGINT)',
  );
  const { rows } = await database.query<{ profile_id: string; work_id: string; from_time: number; to_time: number }>(
    `select profile_id, work_id, (extract(epoch from started_at) * 1000)::bigint as from_time,
       (extract(epoch from ended_at) * 1000)::bigint as to_time
     from whence.batch_now
     where day <> (ended_at at time zone 'UTC')::date and at_edge`,
  );
  if (rows.length === 0) return 0;
  const appender = await engine.createAppender('plays_beyond');
  for (const row of rows) {
    appender.appendVarchar(row.profile_id);
    appender.appendVarchar(row.work_id);
    appender.appendBigInt(BigInt(row.from_time - gap));
    appender.appendBigInt(BigInt(row.to_time + gap));
    appender.endRow();
  }
  appender.closeSync();
  return rows.length;
}
