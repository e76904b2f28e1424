import type { Admin, Kafka, KafkaMessage } from 'kafkajs';
import { LogClock } from '../attribution/clock.ts';
import { derive } from '../attribution/derive.ts';
import { explain, type Explanation } from '../attribution/explain.ts';
import { COPY_MEMORY_MS, FactStore } from '../attribution/facts/fact-store.ts';
import { KeyView } from '../attribution/facts/key-view.ts';
import { playRow, type PlayRow } from '../attribution/play-row.ts';
import { compilePolicy, type Policy, type PolicySource } from '../attribution/policy.ts';
import { FUTURE_TOLERANCE_MS, parseRecord } from '../attribution/validate.ts';
import { withAdmin } from '../platform/kafka.ts';
import type { Queryable } from '../platform/postgres.ts';
import { readLog, type LogRange } from '../platform/read-log.ts';
import type { TopicOffset } from './task-state.ts';
import { fetchBounds } from './topics.ts';

/** No play has this id. */
export class UnknownPlayError extends Error {
  override readonly name = 'UnknownPlayError';
  constructor(id: string) {
    super(
      `There is no play ${id}. A play has another id once it turns out to have begun earlier; look it up with: ` +
        `select play_id, started_at from whence.plays where profile_id = '…' and work_id = '…'`,
    );
  }
}

/** What is no UUID is no play's id. */
export class InvalidPlayIdError extends Error {
  override readonly name = 'InvalidPlayIdError';
  constructor(found: string) {
    super(`"${found}" is not the id of a play, expected a UUID as in whence.plays.play_id`);
  }
}

/** A row of `whence.plays`, times as ISO-8601. */
export interface ServedPlay {
  play_id: string;
  profile_id: string;
  work_id: string;
  title_id: string;
  country: string;
  device_type: string;
  started_at: string;
  ended_at: string;
  watched_ms: number;
  qualified: boolean;
  state: 'provisional' | 'final';
  sop_surface: string;
  sop_class: string | null;
  sop_row_type: string | null;
  sop_row_id: string | null;
  sop_row_rank: number | null;
  sop_position: number | null;
  sop_impression_id: string | null;
  sop_evidence: string;
  sod_surface: string;
  sod_class: string | null;
  sod_row_type: string | null;
  sod_row_id: string | null;
  sod_row_rank: number | null;
  sod_position: number | null;
  sod_impression_id: string | null;
  sod_evidence: string;
  assisted: boolean;
  is_discovery: boolean;
  discovered_at: string | null;
  rule: Explanation['rule'];
  layer: string;
  policy: string;
}

/** What is kept of a play beside: its own candidate, its path and the weights. */
export type StoredPlay = PlayRow & { task: number };

export interface PlayExplanation {
  served: ServedPlay;
  stored: StoredPlay;
  /** The play that discovered the work for the profile, null where none is qualified. */
  discovery_play_id: string | null;
  policy: Policy;
  /**
   * Whether the facts in the log explain the row: `agree`; `differ` (some facts are no longer there, or came since);
   * `gone` (the play cannot be derived from what is left).
   */
  facts: 'agree' | 'differ' | 'gone';
  /** Null where the facts are gone. */
  explanation: Explanation | null;
  records_read: number;
}

interface Loaded {
  served: ServedPlay;
  stored: StoredPlay;
  offsets: Record<string, TopicOffset>;
  source: PolicySource;
  discovery_play_id: string | null;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** @throws InvalidPlayIdError */
export function checkPlayId(text: string): string {
  if (!UUID.test(text)) throw new InvalidPlayIdError(text);
  return text.toLowerCase();
}

/**
 * Derives a play once more from the facts in Kafka that were committed, by the policy that made its row, and says of every
 * candidate why it won or lost.
 *
 * @throws InvalidPlayIdError, UnknownPlayError, LogNotReadableError
 */
export async function explainPlay(database: Queryable, kafka: Kafka, id: string): Promise<PlayExplanation> {
  const { served, stored, offsets, source, discovery_play_id } = await loadPlay(database, checkPlayId(id));
  const policy = compilePolicy(source);
  const facts = new FactsOfProfile(served.profile_id, Object.keys(offsets).sort(), policy);
  const neededFrom = Date.parse(served.started_at) - reachOf(policy);
  const ranges = await withAdmin(kafka, (admin) => rangesOf(admin, stored.task, offsets, neededFrom));
  await readLog(kafka, 'whence-explain', ranges, (topic, record) => facts.read(topic, record));

  const explanation = facts.explain(served);
  const agrees = explanation !== null && isSameRow(playRow(explanation.play, policy), stored);
  return {
    served,
    stored,
    discovery_play_id,
    policy,
    facts: explanation === null ? 'gone' : agrees ? 'agree' : 'differ',
    explanation,
    records_read: facts.recordsRead,
  };
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
     where v.play_id = $1`,
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

  read(topic: string, record: KafkaMessage): void {
    this.recordsRead++;
    const stamp = Number(record.timestamp);
    const validation = parseRecord(record.value, stamp >= 0 ? stamp : Infinity);
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

function isSameRow(derived: PlayRow, stored: StoredPlay): boolean {
  return Object.entries(derived).every(
    ([column, value]) =>
      JSON.stringify(value, timesAsNumbers) === JSON.stringify(stored[column as keyof PlayRow], timesAsNumbers),
  );
}

/** For JSON: one time can be written in several ways. */
function timesAsNumbers(_: string, value: unknown): unknown {
  return typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value) ? Date.parse(value) : value;
}
