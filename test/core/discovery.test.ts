import { expect, test } from 'vitest';
import { derive } from '../../attribution/derive.ts';
import { attribute } from '../../attribution/discovery.ts';
import { FactStore } from '../../attribution/facts/fact-store.ts';
import { KeyView } from '../../attribution/facts/key-view.ts';
import { describePlay, type Play } from '../../attribution/plays.ts';
import { defaultPolicy } from '../../attribution/policy.ts';
import { HOUR, SECOND } from '../../attribution/time.ts';
import { BASE, impression, origin, playback } from './samples.ts';

/** Plays of one key, an hour apart, each launched from a row of its own; those that are said qualify. */
function playsOf(qualified: readonly boolean[]): Play[] {
  const store = new FactStore(defaultPolicy);
  const common = { row_type: 'top_picks' } as const;
  qualified.forEach((long, i) => {
    const event_time = BASE + i * HOUR;
    const seen = impression({ event_id: `i${i}`, event_time, ...common });
    const start = playback({ event_id: `s${i}`, event_time, playback_id: `pb${i}` });
    const search = origin({ surface: 'search' });
    store.observe(seen, 0, -Infinity, false);
    store.observe({ ...start, origin: i % 2 === 0 ? search : origin({ impression_id: `i${i}` }) }, 0, -Infinity, false);
    const stop = { event_id: `t${i}`, event_time: event_time + (long ? 120 : 1) * SECOND, action: 'stop' } as const;
    store.observe(playback({ playback_id: `pb${i}`, ...stop }), 0, -Infinity, false);
  });
  const view = new KeyView(store).load(store.keyOf('p1', 'series-1'));
  return derive(view, defaultPolicy.rules.speed).map((decision) => describePlay(decision, view));
}

test('the earliest qualified play discovers, those after it inherit, those before show their own', () => {
  const attributed = attribute(playsOf([false, false, true, false, true]));
  expect(attributed.map((play) => play.is_discovery)).toEqual([false, false, true, false, false]);
  expect(attributed.map((play) => play.sod.impression_id)).toEqual(['i0', 'i1', 'i2', 'i2', 'i2']);
  expect(attributed.map((play) => play.assisted)).toEqual([true, false, true, true, true]);
  const at = BASE + 2 * HOUR;
  expect(attributed.map((play) => play.discovered_at)).toEqual([null, null, at, at, at]);
});

test('plays are attributed in order of their start, whatever order they come in', () => {
  const plays = playsOf([false, false, true, false, true]);
  const expected = attribute(plays);
  for (const order of [
    [4, 3, 2, 1, 0],
    [2, 4, 0, 3, 1],
    [1, 2, 3, 4, 0],
  ]) {
    const shuffled = order.map((index) => plays[index]);
    expect(attribute(shuffled)).toEqual(expected);
    expect(shuffled.map((play) => play.started_at)).toEqual(order.map((index) => BASE + index * HOUR));
  }
});

test('plays of a key without a qualified one show their own, and no plays are no answer', () => {
  const attributed = attribute(playsOf([false, false]));
  expect(attributed.map((play) => [play.is_discovery, play.discovered_at, play.sod.impression_id])).toEqual([
    [false, null, 'i0'],
    [false, null, 'i1'],
  ]);
  expect(attribute([])).toEqual([]);
});
