import { bucketOf } from '../archive/bucket.ts';
import { derive } from '../attribution/derive.ts';
import { explain, type Explanation } from '../attribution/explain.ts';
import type { PlayRow } from '../attribution/play-row.ts';
import { compilePolicy, type Policy, type PolicySource } from '../attribution/policy.ts';
import { checkPlayId, explainedBy, type PlayExplanation, type ServedPlay } from '../merge/explained-play.ts';
import type { Queryable } from '../platform/postgres.ts';
import type { BatchDeps } from './advance.ts';
import { withEngineAndFiles } from './engine.ts';
import { takeFew } from './few-keys.ts';
import { findChains, loadCopies, readFacts, type Records } from './facts.ts';
import { ClassCodes } from './key-rows.ts';
import { filesOf, type StoredPosition } from './snapshot.ts';

interface Loaded {
  served: ServedPlay;
  stored: PlayRow;
  positions: StoredPosition[];
  copies: string[];
  source: PolicySource;
  discovery_play_id: string | null;
}

/**
 * Derives a play that the batch layer serves once more, from the archive, by the policy that made its row, and says of every
 * candidate why it won or lost. Null where batch serves no play of this id.
 *
 * @throws InvalidPlayIdError
 */
export async function explainBatchPlay(
  deps: Pick<BatchDeps, 'pool' | 'storage' | 'scratch' | 'memoryLimit'>,
  id: string,
): Promise<PlayExplanation | null> {
  const loaded = await loadPlay(deps.pool, checkPlayId(id));
  if (loaded === null) return null;
  const policy = compilePolicy(loaded.source);
  const { explanation, recordsRead } = await explainFromArchive(deps, loaded, policy);
  return explainedBy(loaded, policy, explanation, recordsRead);
}

async function loadPlay(database: Queryable, id: string): Promise<Loaded | null> {
  const { rows } = await database.query<Loaded>(
    `select to_jsonb(v) as served, to_jsonb(p) as stored, version.positions, version.copies, policy.source,
       d.play_id as discovery_play_id
     from whence.plays v
     join whence.batch_plays p on p.play_id = v.play_id and p.to_version is null
     join whence.batch_head head on true
     join whence.batch_versions version on version.version = head.version
     join whence.policies policy on policy.hash = p.policy
     left join whence.discoveries d on d.profile_id = v.profile_id and d.work_id = v.work_id
     where v.play_id = $1 and v.layer = 'batch'`,
    [id],
  );
  return rows[0] ?? null;
}

async function explainFromArchive(
  deps: Pick<BatchDeps, 'pool' | 'storage' | 'scratch' | 'memoryLimit'>,
  { served, positions, copies }: Loaded,
  policy: Policy,
): Promise<{ explanation: Explanation | null; recordsRead: number }> {
  const { pool } = deps;
  const { profile_id: profileId, work_id: workId } = served;
  const rules = policy.rules.batch;
  const bucket = bucketOf(profileId);
  const files = await filesOf(pool, positions);
  return withEngineAndFiles(deps, async (engine, lease) => {
    const records: Records = { files, lease, from: bucket, to: bucket };
    await loadCopies(engine, copies, records);
    await engine.run(
      `create temp table keys as
       select 0::INTEGER as key, $profile as profile_id, $work as work_id, $lo::BIGINT as lo, $hi::BIGINT as hi`,
      { profile: profileId, work: workId, lo: Date.parse(served.started_at), hi: Date.parse(served.ended_at) },
    );
    const taken = await takeFew(engine, records, [rules]);
    await findChains(engine, taken, rules);
    const classes = new ClassCodes(policy);
    let explanation: Explanation | null = null;
    let recordsRead = 0;
    await readFacts(
      engine,
      taken,
      [rules],
      (_, facts) => {
        Object.assign(facts, { profileId, workId }).load(classes);
        recordsRead = facts.impressions.count + facts.playbacks.count;
        const decision = derive(facts, rules).find(({ startedAt }) => startedAt === Date.parse(served.started_at));
        if (decision !== undefined) explanation = explain(decision, facts, rules);
      },
      async () => {},
    );
    return { explanation, recordsRead };
  });
}
