import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Event } from '../../attribution/events.ts';
import { defaultPolicy } from '../../attribution/policy.ts';
import type { SpeedPlayRow as PlayRow } from '../../streaming/plays-to-write.ts';
import type { RecordReader } from '../../platform/record-reader.ts';
import { restoreCheckpoint } from '../../streaming/checkpoint-load.ts';
import { storeCheckpoint, type Written } from '../../streaming/checkpoint-write.ts';
import { TaskState, type Delta, type RestoredState } from '../../streaming/task-state.ts';
import { impression, playback } from '../core/samples.ts';
import { groups } from '../oracle/order.ts';
import { oracle, speedLedger, type LogRecord } from '../oracle/oracle.ts';
import { crowdedWorld, world } from '../oracle/worlds.ts';
import { recordOf } from '../records.ts';
import { memoryStorage } from './memory-storage.ts';

/** What Postgres keeps of one task, by the rules of the commit. */
class Tables {
  readonly plays = new Map<string, PlayRow>();
  readonly ledger = new Map<string, number>();
  offsets: Delta['offsets'] = {};
  replay: Delta['replay'] = {};

  apply(delta: Delta): void {
    for (const key of delta.touched) {
      for (const [id, play] of this.plays) {
        const ofKey = play.profile_id === key.profile_id && play.work_id === key.work_id;
        if (ofKey && play.ended_at >= key.affected_from) this.plays.delete(id);
      }
    }
    if (delta.plays.copy) throw new Error('So many plays are bytes, not rows: take deltas more often');
    for (const play of delta.plays.rows) this.plays.set(play.play_id, play);
    for (const row of delta.ledger) {
      for (const outcome of ['applied', 'duplicate', 'late', 'excluded'] as const) {
        const cell = `${row.topic} ${row.epoch_day} ${outcome}`;
        if (row[outcome] > 0) this.ledger.set(cell, (this.ledger.get(cell) ?? 0) + row[outcome]);
      }
    }
    this.offsets = delta.offsets;
    this.replay = delta.replay;
  }
}

/** Writes checkpoints of a state now and then, while the state goes on, and restores the last. */
class Restorer {
  readonly objects: Map<string, Buffer>;
  readonly #place;
  readonly #topics: string[];
  #written: Written = new WeakMap();
  #head: string | null = null;

  constructor(topics: string[]) {
    const { objects, storage } = memoryStorage();
    this.objects = objects;
    this.#place = { storage, prefix: 'c/', epoch: 1, policy: defaultPolicy.hash };
    this.#topics = topics;
  }

  async store(state: TaskState): Promise<void> {
    const { head } = await storeCheckpoint(this.#place, state.cut(), this.#written, new AbortController().signal);
    this.#head = head;
  }

  async restore(committed: number[]): Promise<RestoredState | undefined> {
    if (this.#head === null) return undefined;
    const earliest = this.#topics.map(() => 0);
    const wanted = { policy: defaultPolicy, topics: this.#topics, earliest, committed };
    const { state, written } = await restoreCheckpoint(this.#place, this.#head, wanted);
    this.#written = written;
    return state;
  }
}

interface Counts {
  crashes: number;
  dropped: number;
  restored: number;
}

/**
 * Reads the log of one partition number with a state that is thrown away now and then, as a crash does, and rebuilt from
 * what was committed. `choose` decides which topic is read next, and when there is a commit or a crash.
 */
async function readWithCrashes(
  log: readonly LogRecord[],
  topics: string[],
  choose: () => number,
  counts: Counts,
): Promise<Tables> {
  const logs = topics.map((topic) => log.filter((record) => record.topic === topic).map(message));
  const tables = new Tables();
  const checkpoints = new Restorer(topics);
  for (;;) {
    const committed = topics.map((topic) => tables.offsets[topic]?.next ?? 0);
    const restored = choose() % 3 === 0 ? undefined : await checkpoints.restore(committed);
    if (restored !== undefined) counts.restored++;
    const state = new TaskState(0, topics, defaultPolicy, tables.offsets, tables.replay, restored);
    if (topics.some((_, topic) => state.position(topic) > 0)) counts.dropped++;
    const below = (ends: number[]) => ends.flatMap((end, topic) => (state.position(topic) < end ? [topic] : []));
    // First what was committed, of all topics, in any order; then the rest.
    const open = () => (recovering() ? below(committed) : below(logs.map((records) => records.length)));
    const recovering = () => below(committed).length > 0;
    let crashed = false;
    while (open().length > 0 && !crashed) {
      const topic = open()[choose() % open().length];
      const offset = state.position(topic);
      state.read(topic, logs[topic][offset], offset < committed[topic]);
      if (recovering()) continue;
      const event = choose() % 16;
      if (event < 5) {
        tables.apply(state.takeDelta(topics.map(() => false)));
        // While it is written, facts are read: here, before it ends, the next ones.
        if (event === 0) {
          const storing = checkpoints.store(state);
          const next = below(logs.map((records) => records.length))[0];
          if (next !== undefined) state.read(next, logs[next][state.position(next)], false);
          await storing;
        }
        state.evict();
      }
      crashed = event === 15 && counts.crashes++ < 40;
    }
    if (crashed) continue;
    tables.apply(state.takeDelta(topics.map(() => false)));
    return tables;
  }
}

function message(record: LogRecord, offset: number): RecordReader {
  return recordOf({
    key: null,
    value: Buffer.from(JSON.stringify(record.event)),
    timestamp: '-1',
    attributes: 0,
    offset: String(offset),
    headers: {},
  });
}

test.each([
  ['hostile little worlds', world, 1_000],
  ['worlds whose paths overflow', crowdedWorld, 100],
] as const)(
  'crashes, checkpoints, replays and dropped facts leave the plays and the ledger of the oracle: %s',
  async (_, worlds, runs) => {
    const total = { crashes: 0, dropped: 0, restored: 0 };
    await fc.assert(
      fc.asyncProperty(worlds, fc.infiniteStream(fc.nat()), async (log, choices) => {
        const choose = () => choices.next().value;
        for (const ofPartition of groups(log, (record) => String(record.partition))) {
          const counts = { crashes: 0, dropped: 0, restored: 0 };
          const topics = [...new Set(ofPartition.map((record) => record.topic))].sort();
          const tables = await readWithCrashes(ofPartition, topics, choose, counts);
          total.crashes += counts.crashes;
          total.dropped += counts.dropped;
          total.restored += counts.restored;
          const expected = oracle(ofPartition, 'speed').plays;
          expect(comparable([...tables.plays.values()])).toEqual(comparable(expected.map(asRow)));
          const counted = speedLedger(ofPartition).flatMap((row) =>
            (['applied', 'duplicate', 'late', 'excluded'] as const).flatMap((outcome) =>
              row[outcome] > 0
                ? [[`${row.topic} ${Date.parse(row.day) / 86_400_000} ${outcome}`, row[outcome]] as const]
                : [],
            ),
          );
          expect(tables.ledger).toEqual(new Map(counted));
        }
      }),
      { numRuns: runs },
    );
    expect(total.crashes).toBeGreaterThan(runs / 2);
    expect(total.dropped).toBeGreaterThan(0);
    expect(total.restored).toBeGreaterThan(runs / 4);
  },
);

test('what says that an event is a preview is held for as long as that event can be stitched to a play', () => {
  const start = Date.UTC(2025, 10, 24);
  const hours = (n: number) => start + n * 3_600_000;
  const event = { ...playback({ origin: null, kind: null, series_id: null }), profile_id: 'p1', playback_id: 'b' };
  const events: Event[] = [
    { ...event, event_id: 'says', event_time: start, kind: 'preview' },
    // Just within the memory of the flag, so a preview as well; just within the stitching gap of what comes last.
    { ...event, event_id: 'silent', event_time: hours(24) - 1 },
    { ...event, event_id: 'other', event_time: hours(24.2), profile_id: 'p2' },
    { ...event, event_id: 'main', event_time: hours(24.5) - 1, kind: 'main' },
  ];
  const tables = new Tables();
  const state = new TaskState(0, ['playback'], defaultPolicy, {}, {});
  events.forEach((each, offset) => {
    state.read(0, message({ topic: 'playback', partition: 0, offset, event: each }, offset), false);
    tables.apply(state.takeDelta([false]));
    state.evict();
  });
  const starts = [...tables.plays.values()].filter((play) => play.profile_id === 'p1').map((play) => play.started_at);
  expect(starts).toEqual([new Date(hours(24.5) - 1).toISOString()]);
});

type Comparable = Pick<
  PlayRow,
  | 'profile_id'
  | 'work_id'
  | 'started_at'
  | 'ended_at'
  | 'watched_ms'
  | 'qualified'
  | 'playback_ids'
  | 'rule'
  | 'sop_surface'
  | 'sop_row_type'
  | 'sop_impression_id'
  | 'sop_evidence'
  | 'orphan_token'
  | 'path_impression_id'
  | 'path_touched_at'
  | 'touches_omitted'
>;

function comparable(plays: Comparable[]): Comparable[] {
  const place = (play: Comparable) => `${play.profile_id}\0${play.work_id}\0${play.started_at}`;
  return plays
    .map((play) => ({
      profile_id: play.profile_id,
      work_id: play.work_id,
      started_at: play.started_at,
      ended_at: play.ended_at,
      watched_ms: play.watched_ms,
      qualified: play.qualified,
      playback_ids: play.playback_ids,
      rule: play.rule,
      sop_surface: play.sop_surface,
      sop_row_type: play.sop_row_type,
      sop_impression_id: play.sop_impression_id,
      sop_evidence: play.sop_evidence,
      orphan_token: play.orphan_token,
      path_impression_id: play.path_impression_id,
      path_touched_at: play.path_touched_at,
      touches_omitted: play.touches_omitted,
    }))
    .sort((a, b) => (place(a) < place(b) ? -1 : 1));
}

function asRow(play: ReturnType<typeof oracle>['plays'][number]): Comparable {
  const iso = (time: number) => new Date(time).toISOString();
  return {
    ...play,
    started_at: iso(play.started_at),
    ended_at: iso(play.ended_at),
    path_impression_id: play.path.map((touch) => touch.impression_id),
    path_touched_at: play.path.map((touch) => iso(touch.touched_at)),
  };
}

test('of a key with too many facts the newest count, the first event of its open play, and copies of all are known', () => {
  const topics = ['impressions', 'playback'];
  const MOST = 20;
  const state = new TaskState(0, topics, defaultPolicy, {}, {}, undefined, MOST);
  const began = Date.UTC(2025, 10, 24);
  const next = [0, 0];
  const read = (event: Event) => {
    const topic = event.type === 'impression' ? 0 : 1;
    state.read(topic, message({ event } as LogRecord, next[topic]++), false);
  };
  const beat = (i: number) =>
    playback({
      event_id: `e${i}`,
      action: i === 0 ? 'start' : 'heartbeat',
      event_time: began + i * 60_000,
      origin: null,
    });
  const seen = (i: number) => impression({ event_id: `i${i}`, event_time: began - 3_600_000 + i });
  for (let i = 0; i < 30; i++) read(seen(i));
  let capped = 0;
  let last: Delta = state.takeDelta([false, false]);
  for (let i = 0; i < 60; i++) {
    read(beat(i));
    last = state.takeDelta([false, false]);
    capped += last.capped;
  }
  // 90 facts, of which about the cap is left: 20 to 25, the start, and an event that joins it to the rest.
  expect(capped).toBeGreaterThanOrEqual(90 - MOST * 1.25 - 2);
  expect(capped).toBeLessThanOrEqual(90 - MOST);
  expect(last.plays.rows).toMatchObject([{ started_at: new Date(began).toISOString(), inferred_start: false }]);
  // All impressions were older than what is kept.
  expect(last.plays.rows[0].path_surface).toEqual([]);
  read(beat(5));
  read(seen(5));
  const { ledger, plays } = state.takeDelta([false, false]);
  expect(ledger.map(({ consumed, duplicate }) => [consumed, duplicate])).toEqual([
    [1, 1],
    [1, 1],
  ]);
  expect(plays.rows).toEqual([]);
  expect(state.held).toBe(92);
});

test('a key with many facts, and no more than the cap and a quarter, loses none', () => {
  const state = new TaskState(0, ['playback'], defaultPolicy, {}, {}, undefined, 20);
  for (let i = 0; i < 25; i++) {
    const event = playback({ event_id: `e${i}`, event_time: Date.UTC(2025, 10, 24) + i * 60_000 });
    state.read(0, message({ event } as LogRecord, i), false);
  }
  expect(state.takeDelta([false]).capped).toBe(0);
});
