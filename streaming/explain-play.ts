import type { Admin, Kafka } from 'kafkajs';
import { LogClock } from '../attribution/clock.ts';
import { derive } from '../attribution/derive.ts';
import { explain, type Explanation } from '../attribution/explain.ts';
import { COPY_MEMORY_MS, FactStore } from '../attribution/facts/fact-store.ts';
import { KeyView } from '../attribution/facts/key-view.ts';
import type { PlayRow } from '../attribution/play-row.ts';
import { compilePolicy, type Policy, type PolicySource } from '../attribution/policy.ts';
import { FUTURE_TOLERANCE_MS, parseRecord } from '../attribution/validate.ts';
import {
  checkPlayId,
  explainedBy,
  type PlayExplanation,
  type ServedPlay,
  UnknownPlayError,
} from '../merge/explained-play.ts';
import { withAdmin } from '../platform/kafka.ts';
import type { Queryable } from '../platform/postgres.ts';
import { readLog, type LogRange } from '../platform/read-log.ts';
import type { RecordPlace } from '../platform/record-reader.ts';
import type { TopicOffset } from './task-state.ts';
import { fetchBounds } from './topics.ts';

interface Loaded {
  served: ServedPlay;
  stored: PlayRow & { task: number };
  offsets: Record<string, TopicOffset>;
  source: PolicySource;
  discovery_play_id: string | null;
}

/**
 * Derives a play that the speed layer serves once more, from the facts in Kafka that were committed, by the policy that made
 * its row, and says of every candidate why it won or lost.
 *
 * @throws InvalidPlayIdError, UnknownPlayError, LogNotReadableError
 */
export async function explainPlay(database: Queryable, kafka: Kafka, id: string): Promise<PlayExplanation> {
  const loaded = await loadPlay(database, checkPlayId(id));
  const { served, stored, offsets } = loaded;
  const policy = compilePolicy(loaded.source);
  const facts = new FactsOfProfile(served.profile_id, Object.keys(offsets).sort(), policy);
  const neededFrom = Date.parse(served.started_at) - reachOf(policy);
  const ranges = await withAdmin(kafka, (admin) => rangesOf(admin, stored.task, offsets, neededFrom));
  await readLog(kafka, 'whence-explain', ranges, (topic, record) => facts.read(topic, record));

  const explanation = facts.explain(served);
  return explainedBy(loaded, policy, explanation, facts.recordsRead);
}

/** One statement: the row and the offsets that it follows from are of one commit. */
async function loadPlay(database: Queryable, id: string): Promise<Loaded> {
  const { rows } = await database.query<Loaded>(
    `select to_jsonb(v) as served, to_jsonb(p) as stored, t.offsets, policy.source, d.play_id as discovery_play_id
     from whence.plays v
     join whence.speed_plays p using (play_id)
     join whence.speed_tasks t using (task)
     join whence.policies policy on policy.hash = p.policy
     left join whence.discoveries d on d.profile_id = v.profile_id and d.work_id = v.work_id
     where v.play_id = $1 and v.layer = 'speed'`,
    [id],
  );
  if (rows.length === 0) throw new UnknownPlayError(id);
  return rows[0];
}

/** How long before the start of a play a fact can lie that decides anything about it. */
function reachOf(policy: Policy): number {
  const { discoveryWindow, flagMemory, stitchingGap } = policy.rules.speed;
  return Math.max(discoveryWindow, flagMemory + stitchingGap);
}

/**
 * What is to be read of each topic's partition, up to what was committed.
 *
 * A valid event is at most the future tolerance ahead of its Kafka timestamp, so what lies before the first record with a
 * Kafka timestamp of the given time, less that tolerance, is older than the time: it holds no fact that is needed, and
 * its clock is not greater, so that it makes none late. A day more, and copies of needed facts are known as copies.
 */
async function rangesOf(
  admin: Admin,
  partition: number,
  offsets: Readonly<Record<string, TopicOffset>>,
  neededFrom: number,
): Promise<LogRange[]> {
  const topics = Object.keys(offsets);
  const bounds = await fetchBounds(admin, topics);
  return Promise.all(
    topics.map(async (topic) => {
      const from = Math.max(0, neededFrom - COPY_MEMORY_MS - FUTURE_TOLERANCE_MS);
      const found = await admin.fetchTopicOffsetsByTimestamp(topic, from);
      const first = Number(found.find((at) => at.partition === partition)?.offset ?? 0);
      const log = bounds.get(topic)?.[partition] ?? { earliest: 0, next: 0 };
      return {
        topic,
        partition,
        from: Math.max(first, log.earliest),
        to: Math.min(offsets[topic].next, log.next),
      };
    }),
  );
}

/** The facts of one profile, judged as the speed layer judges them. */
class FactsOfProfile {
  recordsRead = 0;
  readonly #profileId: string;
  readonly #topics: readonly string[];
  readonly #policy: Policy;
  readonly #store: FactStore;
  readonly #clocks: LogClock[];

  constructor(profileId: string, topics: readonly string[], policy: Policy) {
    this.#profileId = profileId;
    this.#topics = topics;
    this.#policy = policy;
    this.#store = new FactStore(policy);
    this.#clocks = topics.map(() => new LogClock());
  }

  read(topic: string, { stampedAt, value }: RecordPlace): void {
    this.recordsRead++;
    const validation = parseRecord(value, stampedAt >= 0 ? stampedAt : Infinity);
    if (!validation.ok) return;
    const { event } = validation;
    const source = this.#topics.indexOf(topic);
    const clock = this.#clocks[source];
    if (event.profile_id === this.#profileId) {
      this.#store.observe(event, source, clock.now, clock.isLate(event.event_time, this.#policy.rules.speed));
    }
    clock.advance(event.event_time);
  }

  explain({ play_id, profile_id, work_id, started_at }: ServedPlay): Explanation | null {
    const key = this.#store.keyOf(profile_id, work_id);
    if (key < 0) return null;
    const view = new KeyView(this.#store).load(key);
    const rules = this.#policy.rules.speed;
    const decision = derive(view, rules).find(({ startedAt }) => startedAt === Date.parse(started_at));
    if (decision === undefined) return null;
    const explanation = explain(decision, view, rules);
    return explanation.play.play_id === play_id ? explanation : null;
  }
}
