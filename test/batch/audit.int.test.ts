import type { DuckDBConnection } from '@duckdb/node-api';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { defaultPolicy } from '../../attribution/policy.ts';
import { auditUnit, createMadePlays, weightFault } from '../../batch/audit.ts';
import { inCodeUnits, rowsOf, withEngine } from '../../batch/engine.ts';
import { loadCopies, type Records } from '../../batch/facts.ts';
import { filesOf, readSnapshot } from '../../batch/snapshot.ts';
import type { PlayRow } from '../../attribution/play-row.ts';
import { playback } from '../core/samples.ts';
import type { LogRecord } from '../oracle/oracle.ts';
import { type Ground, LittleWorld, openGround } from './little-world.ts';

const MINUTE = 60_000;
const NOON = Date.UTC(2025, 10, 24, 12);
const MIDNIGHT = Date.UTC(2025, 10, 24);

let ground: Ground;
let records: Records;

/** At noon, a minute later (a trailer, as it says), and two minutes later (a trailer still, by its playback id; then main again). */
const log: LogRecord[] = [
  playback({ event_id: 'a', event_time: NOON, playback_id: 'b1', kind: null }),
  playback({ event_id: 'b', event_time: NOON + MINUTE, playback_id: 'b2', kind: 'trailer' }),
  playback({ event_id: 'c', event_time: NOON + 2 * MINUTE, playback_id: 'b2', kind: null }),
  playback({ event_id: 'd', event_time: NOON + 3 * MINUTE, playback_id: 'b2', kind: 'main' }),
  // The first is the second by the bytes of its id, and by code units it is before: what it says is said of both.
  playback({ profile_id: 'p2', event_id: '\u{1d49c}', event_time: NOON, playback_id: 'b3', kind: 'trailer' }),
  playback({ profile_id: 'p2', event_id: '\uff5e', event_time: NOON, playback_id: 'b3', kind: null }),
].map((event, offset) => ({ topic: 'events', partition: 0, offset, event: { ...event, muted_autoplay: null } }));

beforeAll(async () => {
  ground = await openGround();
  const little = await LittleWorld.create(ground, log);
  await little.archive('events', 0, Infinity);
  const { positions } = await readSnapshot(ground.pool);
  records = { files: await filesOf(ground.pool, positions), lease: ground.storage.lend(), from: 0, to: 255 };
});
afterAll(() => ground.stop());

/** What the audit finds where these plays (minutes from noon) were made. */
function audit(...plays: [number, number][]) {
  return auditOf('p1', plays);
}

async function auditOf(profile: string, plays: readonly [number, number][]) {
  return withEngine({ scratch: ground.directory }, async (engine: DuckDBConnection) => {
    await loadCopies(engine, [], records);
    await engine.run(
      `create temp table keys as select 0 as key, '${profile}' as profile_id, 'series-1' as work_id,
         ${MIDNIGHT}::BIGINT as lo, ${MIDNIGHT + 24 * 60 * MINUTE - 1}::BIGINT as hi`,
    );
    const made = await createMadePlays(engine);
    for (const [begin, end] of plays) made.add(0, NOON + begin * MINUTE, NOON + end * MINUTE);
    made.close();
    return auditUnit(engine, { records, days: ['2025-11-24'], rules: defaultPolicy.rules.batch });
  });
}

test('each counted event in one play: nothing is found', async () => {
  expect(await audit([0, 3])).toEqual({ events: 2, found: [] });
});

test('an event that is in no play is found', async () => {
  expect(await audit([0, 1])).toEqual({
    events: 2,
    found: ['the event of profile p1, work series-1 at 2025-11-24T12:03:00.000Z (2025-11-24) is in 0 plays'],
  });
});

test('an event that is in two plays is found', async () => {
  expect((await audit([0, 3], [3, 9])).found).toEqual([
    'the event of profile p1, work series-1 at 2025-11-24T12:03:00.000Z (2025-11-24) is in 2 plays',
  ]);
});

test('of events at the same time the order is that of the code units of their ids, as the rules have it', async () => {
  expect(await auditOf('p2', [])).toEqual({ events: 0, found: [] });
});

test('texts are in the order of their code units', async () => {
  const texts = ['', 'a', 'aa', 'a\uff5e', 'a\u{1d49c}', '\ud7ff', '\ue000', '\ue000\u{10000}', '\uffff', '\u{10000}'];
  const values = texts.map((text) => `('${text}')`).join(', ');
  const sorted = await withEngine({ scratch: ground.directory }, (engine) =>
    rowsOf<{ text: string }>(engine, `select text from (values ${values}) t (text) order by ${inCodeUnits('text')}`),
  );
  expect(sorted.map(({ text }) => text)).toEqual(texts.toSorted((a, b) => (a < b ? -1 : 1)));
});

test('weights of a model that do not sum to 1 are found', () => {
  const play = { play_id: 'x', path_touched_at: ['a', 'b'], path_weights: [0, 1e9, 500_000_000, 499_999_999] };
  expect(weightFault(play as unknown as PlayRow)).toMatch(
    /play x: the weights of a model sum to 0.999999999, not to 1/,
  );
  expect(weightFault({ ...play, path_weights: [0, 1e9] } as unknown as PlayRow)).toBeNull();
  expect(weightFault({ ...play, path_touched_at: [], path_weights: [] } as unknown as PlayRow)).toBeNull();
});
