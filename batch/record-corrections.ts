import { compilePolicy, defaultPolicy, type PolicySource } from '../attribution/policy.ts';
import { BUCKETS } from '../archive/columns.ts';
import { ownCommit } from '../merge/locks.ts';
import { type Queryable, withTransaction } from '../platform/postgres.ts';
import type { BatchDeps, CorrectionsSummary } from './advance.ts';
import { findCauses } from './causes.ts';
import { withEngineAndFiles } from './engine.ts';
import { loadCopies, type Records } from './facts.ts';
import { filesOf, type StoredPosition } from './snapshot.ts';
import { findDifferences, type OpenDifference, openDifferences, writeCorrections } from './sql/differences.ts';

interface Head {
  version: number;
  positions: StoredPosition[];
  copies: string[];
  compared: boolean;
  /** The greatest version up to this one that was compared, 0 for none. */
  since: number;
  /** That version, or the oldest one that is kept since. */
  days: number;
  source: PolicySource | null;
}

/**
 * Holds what the batch layer began to serve against what the speed layer said of the same, and keeps the differences with their
 * causes. Nothing is compared before the speed layer has read what the archive holds: it would be blamed for what it could
 * not know. Done again, nothing is written twice.
 */
export async function recordCorrections(deps: BatchDeps): Promise<CorrectionsSummary> {
  return withTransaction(deps.pool, async (client) => {
    await ownCommit(client);
    const head = await readHead(client);
    if (head === null) return { corrections: 0, byCause: {} };
    if (head.compared) return readCorrections(client, head.version);
    if (!(await speedHasRead(client))) return { corrections: null, byCause: {} };
    await findDifferences(client, head.since, head.days);
    const open = await openDifferences(client);
    const causes = open.length === 0 ? new Map<string, string>() : await lookUpCauses(deps, client, head, open);
    await writeCorrections(client, head.version, causes);
    await client.query(
      `insert into whence.batch_uncompared (version, play_id)
       select distinct $1::bigint, b.play_id
       from whence.batch_head h cross join whence.speed_now s
       join whence.batch_now b on b.profile_id = s.profile_id and b.work_id = s.work_id
         and b.started_at <= s.ended_at + h.stitching_gap and b.ended_at >= s.started_at - h.stitching_gap
       -- Open for no other reason than what the speed layer has read.
       where s.uncovered and not b.at_edge
       on conflict do nothing`,
      [head.version],
    );
    await client.query(
      `update whence.batch_versions set compared = true, compared_with = $1
       where version <= $1 and not compared and not undone`,
      [head.version],
    );
    return readCorrections(client, head.version);
  });
}

async function readHead(database: Queryable): Promise<Head | null> {
  const { rows } = await database.query<Head>(
    `select v.version, v.positions, v.copies, v.compared, s.since,
       coalesce((select min(k.version) from whence.batch_versions k
         where k.removed_at is null and k.version >= s.since and s.since > 0), 0) as days,
       (select p.source from whence.batch_days d join whence.policies p on p.hash = d.policy
        where d.to_version is null order by d.generation desc limit 1) as source
     from whence.batch_head join whence.batch_versions v using (version)
     cross join lateral (
       select coalesce(max(c.version), 0) as since from whence.batch_versions c
       where c.compared and not c.undone and c.version < v.version
     ) s`,
  );
  return rows[0] ?? null;
}

/** Whether the speed layer has committed all that the current version's snapshot holds. */
async function speedHasRead(database: Queryable): Promise<boolean> {
  const { rowCount } = await database.query(
    `select from whence.batch_horizons h
     left join whence.speed_tasks t on t.task = h.partition
     where coalesce((t.offsets -> h.topic ->> 'next')::bigint, 0) < h.next_offset
     limit 1`,
  );
  return rowCount === 0;
}

async function readCorrections(database: Queryable, version: number): Promise<CorrectionsSummary> {
  const { rows } = await database.query<{ cause: string; n: number }>(
    'select cause, count(*) as n from whence.corrections where generation = $1 group by cause order by cause',
    [version],
  );
  const byCause = Object.fromEntries(rows.map(({ cause, n }) => [cause, n]));
  return { corrections: rows.reduce((sum, { n }) => sum + n, 0), byCause };
}

async function lookUpCauses(
  deps: BatchDeps,
  database: Queryable,
  { positions, copies, source }: Head,
  open: readonly OpenDifference[],
): Promise<Map<string, string>> {
  const policy = source === null ? defaultPolicy : compilePolicy(source);
  const files = await filesOf(database, positions);
  return withEngineAndFiles(deps, async (engine, lease) => {
    const records: Records = { files, lease, from: 0, to: BUCKETS - 1 };
    await loadCopies(engine, copies, records);
    // What the speed layer could have used of its window.
    return findCauses(engine, records, policy.rules.speed, open);
  });
}
