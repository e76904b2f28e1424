import { afterAll, beforeAll, expect, test } from 'vitest';
import defaultPolicyFile from '../../attribution/default-policy.json' with { type: 'json' };
import type { Event } from '../../attribution/events.ts';
import { compilePolicy, defaultPolicy } from '../../attribution/policy.ts';
import { recordCorrections } from '../../batch/record-corrections.ts';
import { impression, playback } from '../core/samples.ts';
import type { LogRecord } from '../oracle/oracle.ts';
import { type Ground, LittleWorld, openGround } from './little-world.ts';

const MINUTE = 60_000;
const NOON = Date.UTC(2025, 10, 24, 12);

let ground: Ground;
beforeAll(async () => {
  ground = await openGround();
});
afterAll(() => ground.stop());

/** A heartbeat of one playback, so many minutes after noon. */
function beat(minutes: number, more: Partial<Extract<Event, { type: 'playback' }>> = {}): Event {
  return {
    ...playback({ origin: null, kind: null, muted_autoplay: null }),
    action: 'heartbeat',
    event_id: `e${minutes}`,
    event_time: NOON + minutes * MINUTE,
    ...more,
  };
}

function shown(minutes: number, row_type: string): Event {
  return impression({ event_id: `i${minutes}`, event_time: NOON + minutes * MINUTE, row_type, token: null });
}

/** An event of somebody else, which only moves the log's clock on. */
function tick(minutes: number): Event {
  return beat(minutes, { profile_id: 'somebody', event_id: `t${minutes}` });
}

function logOf(...events: Event[]): LogRecord[] {
  return events.map((event, offset) => ({ topic: 'events', partition: 0, offset, event }));
}

/** What is corrected once all of a log is streamed, archived and covered. */
async function corrected(log: LogRecord[], policies = { speed: defaultPolicy, batch: defaultPolicy }) {
  const little = await LittleWorld.create(ground, log, policies.speed);
  little.deps.policy = policies.batch;
  await little.finish();
  const { byCause } = await recordCorrections(little.deps);
  const { rows } = await ground.pool.query<{ cause: string; speed: unknown; batch: unknown; day: string }>(
    'select cause, speed, batch, day, generation from whence.corrections order by play_id',
  );
  expect(Object.values(byCause).reduce((sum, n) => sum + n, 0)).toBe(rows.length);
  return rows;
}

test('window: an impression that lies before the window of the speed layer', async () => {
  const log = logOf(shown(-5 * 24 * 60, 'trending'), beat(0), beat(1), beat(2), beat(3));
  expect(await corrected(log)).toMatchObject([
    {
      cause: 'window',
      day: '2025-11-24',
      speed: { sod_surface: 'unknown', sod_row_type: null, sod_evidence: 'none' },
      batch: { sod_surface: 'home', sod_row_type: 'trending', sod_evidence: 'inferred' },
    },
  ]);
});

test('late: an event that came too late for the speed layer', async () => {
  const changesNothing = logOf(beat(0), beat(2), tick(30), beat(1));
  expect(await corrected(changesNothing)).toEqual([]);
  const lateStop = logOf(beat(0), beat(2), tick(30), beat(3));
  expect(await corrected(lateStop)).toMatchObject([
    { cause: 'late', speed: { watched_ms: 2 * MINUTE }, batch: { watched_ms: 3 * MINUTE } },
  ]);
});

test('late: a play that the speed layer never saw', async () => {
  const log = logOf(tick(0), tick(60), beat(10), beat(11), tick(61));
  expect(await corrected(log)).toMatchObject([{ cause: 'late', speed: null, batch: { watched_ms: MINUTE } }]);
});

test('late: a trailer, as only a late event says', async () => {
  const log = logOf(beat(0), beat(1), tick(30), beat(-1, { kind: 'trailer' }));
  expect(await corrected(log)).toMatchObject([{ cause: 'late', speed: { watched_ms: MINUTE }, batch: null }]);
});

test('stitched: a late event that bridges two plays', async () => {
  const log = logOf(beat(0), beat(1), beat(50), beat(51), tick(120), beat(25));
  expect(await corrected(log)).toMatchObject([
    { cause: 'stitched', speed: [{ watched_ms: MINUTE }, { watched_ms: MINUTE }], batch: {} },
  ]);
});

test('duplicate: a copy with another time, longer after than the speed layer remembers', async () => {
  const later = 30 * 60;
  const log = logOf(beat(0), beat(1), tick(later - 1), beat(later, { event_id: 'e0' }));
  expect(await corrected(log)).toMatchObject([{ cause: 'duplicate', day: '2025-11-25', batch: null }]);
});

test('policy: what the batch layer computes by another policy', async () => {
  const { classes } = defaultPolicyFile;
  const continuation = [...classes.continuation, 'trending'];
  const discovery = classes.discovery.filter((slug) => slug !== 'trending');
  const other = compilePolicy({ ...defaultPolicyFile, classes: { ...classes, discovery, continuation } });
  const log = logOf(shown(-2, 'trending'), beat(0), beat(1), beat(2));
  expect(await corrected(log, { speed: defaultPolicy, batch: other })).toMatchObject([
    { cause: 'policy', speed: { sod_row_type: 'trending' }, batch: { sod_surface: 'unknown_prior' } },
  ]);
});

test('clean data on time, and equal windows: nothing is corrected', async () => {
  const windows = { ...defaultPolicyFile.windows, discovery: { speed: '30d', batch: '30d' } };
  const policy = compilePolicy({ ...defaultPolicyFile, windows });
  const events = [shown(-6 * 24 * 60, 'top_10')];
  for (let i = 0; i < 40; i++) {
    events.push(
      shown(i * 90 - 3, i % 2 === 0 ? 'trending' : 'continue_watching'),
      beat(i * 90),
      beat(i * 90 + 2),
      tick(i * 90 + 4),
    );
  }
  expect(await corrected(logOf(...events), { speed: policy, batch: policy })).toEqual([]);
});

test('while the speed layer has not read what is archived, it is not blamed', async () => {
  const little = await LittleWorld.create(ground, logOf(beat(0), beat(1), tick(200)));
  await little.archive('events', 0, 3);
  await little.reconcile('2025-11-24');
  expect(await recordCorrections(little.deps)).toEqual({ corrections: null, byCause: {} });
  await little.stream(0, 3);
  expect(await recordCorrections(little.deps)).toEqual({ corrections: 0, byCause: {} });
});
