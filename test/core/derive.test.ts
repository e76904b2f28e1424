import { describe, expect, test } from 'vitest';
import { derive, discoveryOf, isFinal, type PlayDecision } from '../../attribution/derive.ts';
import type { Event, Playback } from '../../attribution/events.ts';
import { FactStore } from '../../attribution/facts/fact-store.ts';
import { KeyView } from '../../attribution/facts/key-view.ts';
import { defaultPolicy, type Rules } from '../../attribution/policy.ts';
import { DAY, MINUTE, SECOND } from '../../attribution/time.ts';
import { oracle, type LogRecord } from '../oracle/oracle.ts';
import { coreAnswer } from './core-answer.ts';
import { BASE, impression, origin, playback } from './samples.ts';

/** The decisions on the plays of one key. */
function decisionsOn(events: readonly Event[], changedRules: Partial<Rules> = {}): PlayDecision[] {
  const store = new FactStore(defaultPolicy);
  for (const event of events) store.observe(event, 0, -Infinity, false);
  const view = new KeyView(store).load(store.keyOf('p1', 'series-1'));
  return derive(view, { ...defaultPolicy.rules.speed, ...changedRules });
}

/** A playback event so long after the first. */
function after(ms: number, change: Partial<Playback> = {}): Playback {
  return playback({ event_id: `e${ms}`, event_time: BASE + ms, action: 'heartbeat', ...change });
}

/** When the plays start of an event that says something, and one so long after that says nothing. */
function startsAfter(said: Partial<Playback>, ms: number): number[] {
  return decisionsOn([after(0, said), after(ms)]).map((play) => play.startedAt);
}

/** Watched so long, in stretches of a minute; the runtime was reported. */
function qualifies(watchedMs: number, runtimeMs: number | null, rules: Partial<Rules> = {}): boolean {
  const times = [0, 60 * SECOND, 120 * SECOND, 180 * SECOND].filter((ms) => ms < watchedMs);
  const events = times.map((ms) => after(ms, { runtime_ms: runtimeMs }));
  const [play] = decisionsOn([...events, after(watchedMs, { action: 'stop' })], rules);
  expect(play.watchedMs).toBe(watchedMs);
  return play.qualified;
}

function logOf(events: readonly Event[]): LogRecord[] {
  return events.map((event, offset) => ({ topic: event.type, partition: 0, offset, event }));
}

test('a key of more events and playback ids than were ever worked on before is decided like any other', () => {
  for (const size of [65, 200, 1_000]) {
    const events = Array.from({ length: size }, (_, i) =>
      after(i * 20 * SECOND, {
        playback_id: `pb ${i % Math.ceil(size * 0.9)}`,
        // The last of all are what must not be counted.
        kind: i % 7 === 0 || i === size - 1 ? 'trailer' : null,
      }),
    );
    const log = logOf(events);
    expect(coreAnswer(log, 'batch').plays).toEqual(oracle(log, 'batch').plays);
  }
});

test('a play of which nothing is known says so in every part of its decision', () => {
  expect(decisionsOn([after(0)])).toEqual([
    {
      startedAt: BASE,
      endedAt: BASE,
      firstEvent: 0,
      playbackFirsts: [0],
      watchedMs: 0,
      qualified: false,
      inferredStart: true,
      inferredEnd: true,
      origin: -1,
      rule: 'unknown',
      sopEvidence: 'none',
      sopImpression: -1,
      sopClass: -1,
      orphanToken: false,
      path: [],
      launchIsTouch: false,
      touchesOmitted: 0,
      candidate: 'unknown',
      assisted: false,
    },
  ]);
});

test('a launch says in every part of its decision what it was', () => {
  const events = [
    impression({ event_time: BASE - 1 }),
    after(0, { action: 'start', origin: origin({ token: 'unheld' }) }),
    after(130 * SECOND, { action: 'stop' }),
  ];
  expect(decisionsOn(events)).toMatchObject([
    {
      watchedMs: 120_000,
      qualified: true,
      inferredStart: false,
      inferredEnd: false,
      origin: 0,
      rule: 'origin_claim',
      sopEvidence: 'claimed',
      orphanToken: true,
      path: [0, -1],
      launchIsTouch: true,
      candidate: 'touch',
    },
  ]);
});

describe('what an earlier event said speaks for 24 h and not a millisecond more', () => {
  test.each<Partial<Playback>>([{ muted_autoplay: true }, { kind: 'trailer' }, { kind: 'preview' }])('%j', (said) => {
    expect(startsAfter(said, DAY)).toEqual([]);
    expect(startsAfter(said, DAY + 1)).toEqual([BASE + DAY + 1]);
  });

  test('and speaks of its own playback id alone', () => {
    const events = [after(0, { muted_autoplay: true, kind: 'trailer' }), after(1, { playback_id: 'another' })];
    expect(decisionsOn(events).map((play) => play.startedAt)).toEqual([BASE + 1]);
  });
});

describe('a play qualifies', () => {
  test('by two minutes, or by half of a runtime shorter than four', () => {
    expect(qualifies(120_000, null)).toBe(true);
    expect(qualifies(119_999, null)).toBe(false);
    expect(qualifies(30_000, 60_000)).toBe(true);
    expect(qualifies(29_999, 60_000)).toBe(false);
    expect(qualifies(119_999, 239_998)).toBe(true);
    expect(qualifies(119_999, 240_000)).toBe(false);
    expect(qualifies(1, 0)).toBe(false);
    expect(qualifies(1, -1)).toBe(false);
  });

  test('by its runtime only where that is shorter than a short one, whatever the share', () => {
    const quarter = { shareOfShortRuntime: 0.25 };
    expect(qualifies(60_000, 239_999, quarter)).toBe(true);
    expect(qualifies(60_000, 240_000, quarter)).toBe(false);
    expect(qualifies(110_000, 400_000, quarter)).toBe(false);
  });
});

test('a play is final once the watermark is past its last event, the gap and the lateness', () => {
  const rules = defaultPolicy.rules.batch;
  expect(isFinal(BASE, BASE + 40 * MINUTE, rules)).toBe(false);
  expect(isFinal(BASE, BASE + 40 * MINUTE + 1, rules)).toBe(true);
  expect(isFinal(BASE, Infinity, rules)).toBe(true);
  expect(isFinal(BASE, -Infinity, rules)).toBe(false);
});

test('the discovery is the first qualified play, where there is one', () => {
  const [yes, no] = [{ qualified: true }, { qualified: false }];
  expect(discoveryOf([])).toBe(-1);
  expect(discoveryOf([no, no])).toBe(-1);
  expect(discoveryOf([no, yes, yes])).toBe(1);
});
