import type { KafkaMessage } from 'kafkajs';
import { expect, test } from 'vitest';
import { defaultPolicy } from '../../attribution/policy.ts';
import { Reading } from '../../streaming/reading.ts';
import { markOf, TaskState, type TopicOffset } from '../../streaming/task-state.ts';
import { BASE, wireImpression, wirePlayback } from '../core/samples.ts';
import { recordOf } from '../records.ts';

const TOPICS = ['impressions', 'playback'];
const HOUR = 60 * 60 * 1000;
const never = () => false;

function message(offset: number, event: object): KafkaMessage {
  const value = Buffer.from(JSON.stringify({ ...event, event_id: `e${offset}` }));
  return { key: null, value, timestamp: String(BASE), attributes: 0, offset: String(offset), headers: {} };
}

function impressions(from: number, to: number, at = BASE): KafkaMessage[] {
  return Array.from({ length: to - from }, (_, i) => message(from + i, { ...wireImpression(), event_time: at }));
}

/** A state that has read nothing, and what reads into it; no playback event is to come, unless it is said. */
function fresh(offsets: Record<string, TopicOffset> = {}, playbackEnd = 0) {
  const state = new TaskState(0, TOPICS, defaultPolicy, offsets, {});
  const bounds = [100, playbackEnd].map((next) => ({ earliest: 0, next }));
  return { state, reading: new Reading(0, TOPICS, state, offsets, bounds) };
}

test('records that wait are read, whatever is passed over behind them', () => {
  const { state, reading } = fresh();
  reading.offer(0, impressions(0, 10), 10);

  reading.skipTo(0, 14);
  expect(reading.offeredTo(0)).toBe(14);
  while (reading.readSome(4, never));

  expect(state.pending).toBe(10);
  expect(state.position(0)).toBe(14);
  expect(reading.waiting(0)).toBe(false);
});

test('what is offered is read in turn, as much as was asked for, until it is full', () => {
  const { state, reading } = fresh();
  reading.offer(0, impressions(0, 5), 5);
  reading.offer(0, impressions(5, 8), 8);

  expect(reading.readSome(6, never)).toBe(true);
  expect(state.position(0)).toBe(6);
  expect(reading.readSome(6, () => state.pending >= 7)).toBe(true);
  expect(state.position(0)).toBe(7);
  expect(reading.readSome(6, () => true)).toBe(false);
  expect([reading.waiting(0), reading.offeredTo(0)]).toEqual([true, 8]);
  reading.forgetOffers();
  expect([reading.waiting(0), reading.offeredTo(0)]).toEqual([false, 7]);
});

test('a topic that is far ahead waits for the other, until that has read on or is at its end', () => {
  const { state, reading } = fresh({}, 100);
  reading.offer(1, [message(0, { ...wirePlayback(), event_time: BASE - 8 * HOUR })], 1);
  reading.offer(0, impressions(0, 100, BASE - 8 * HOUR), 100);
  while (reading.readSome(1000, never));
  reading.noteEnd(0, 300);
  reading.offer(0, impressions(100, 300, BASE), 300);

  while (reading.readSome(1000, never));
  expect(state.position(0)).toBe(164);
  expect(reading.readSome(1000, never)).toBe(false);

  reading.offer(1, [message(1, { ...wirePlayback(), event_time: BASE - HOUR })], 2);
  while (reading.readSome(1000, never));
  expect(state.position(0)).toBe(300);
});

test('the last record that was committed must be the same still, and is not counted again', () => {
  const committed = recordOf(impressions(4, 5)[0]);
  const offsets = { impressions: { next: 5, last: markOf(committed) } };
  const same = fresh(offsets);
  expect(same.reading.recovering).toBe(true);
  same.reading.offer(0, impressions(0, 8), 8);
  while (same.reading.readSome(1000, never));
  expect([same.reading.recovering, same.state.pending, same.state.position(0)]).toEqual([false, 3, 8]);

  const other = fresh(offsets);
  other.reading.offer(0, impressions(0, 8, BASE - 1), 8);
  expect(() => other.reading.readSome(1000, never)).toThrow(/not the one that was committed last/);
});
