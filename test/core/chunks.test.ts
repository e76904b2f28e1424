import { expect, test } from 'vitest';
import { Block } from '../../attribution/facts/block.ts';
import { CHUNK_RECORDS } from '../../attribution/facts/chunk.ts';
import { FactStore } from '../../attribution/facts/fact-store.ts';
import { defaultPolicy } from '../../attribution/policy.ts';
import { HOUR } from '../../attribution/time.ts';
import { BASE, impression, playback } from './samples.ts';

test('a chunk knows its greatest time and clock, in whatever order events come', () => {
  const store = new FactStore(defaultPolicy);
  const at = (id: string, time: number, clock: number) => {
    store.observe(impression({ event_id: id, event_time: BASE + time }), 0, BASE + clock, false);
  };
  at('a', 5, 5);
  at('b', 9, 7);
  at('c', 2, 9);
  // Three hours of clock later another chunk begins, and this one is closed.
  at('d', 3 * HOUR + 9, 9);
  expect(store.oldestClosed()).toMatchObject({ count: 3, greatestTime: BASE + 9, greatestClock: BASE + 9 });
});

test('a chunk that is closed gives back the room that it grew into', () => {
  const store = new FactStore(defaultPolicy);
  for (let i = 0; i < 1_500; i++) store.observe(impression({ event_id: `i${i}`, event_time: BASE }), 0, BASE, false);
  const before = store.footprint;
  store.observe(impression({ event_id: 'next', event_time: BASE + 3 * HOUR }), 0, BASE, false);
  const closed = store.oldestClosed();
  expect(closed?.count).toBe(1_500);
  expect(closed?.footprint).toBeLessThan(before);
  // Columns of 14 bytes, and 4 for each 16 records; the rest are the records.
  const [block] = closed?.blocks ?? [];
  expect(closed?.footprint).toBe(1_500 * 14 + Math.ceil(1_500 / 16) * 4 + block.used);
  for (const array of [block.key, block.previous]) expect(array.length).toBe(1_500);
});

test('a chunk that is full is followed by another, and records of both are found', () => {
  const store = new FactStore(defaultPolicy);
  const seen = (i: number) => impression({ event_id: `i${i}`, profile_id: `p${i % 5_000}`, event_time: BASE });
  for (let i = 0; i < CHUNK_RECORDS + 1; i++) store.observe(seen(i), 0, BASE, false);
  expect(store.chunksBegun).toBe(2);
  expect(store.oldestClosed()?.count).toBe(CHUNK_RECORDS);
  for (const i of [0, CHUNK_RECORDS - 1, CHUNK_RECORDS]) {
    expect(store.observe(seen(i), 0, BASE, false).outcome).toBe('duplicate');
  }
  const numbers: number[] = [];
  const key = store.keyOf('p0', 'series-1');
  expect(store.recordsOf(key, numbers)).toBe(Math.ceil((CHUNK_RECORDS + 1) / 5_000));
});

test('a copy is remembered with the checksum of the event that counts, when that is no longer held', () => {
  const store = new FactStore(defaultPolicy);
  store.observe(playback({ event_time: BASE }), 0, BASE, false, 1);
  const copy = () => store.observe(playback({ event_time: BASE }), 0, BASE + 4 * HOUR, false, 2);
  store.observe(impression({ event_id: 'next', event_time: BASE + 4 * HOUR }), 0, BASE, false);
  expect(copy()).toMatchObject({ outcome: 'duplicate', conflict: true });
  store.dropOldest();
  expect(copy()).toMatchObject({ outcome: 'duplicate', conflict: true });
});

test('keys with playback are those of the chunk, each once', () => {
  const store = new FactStore(defaultPolicy);
  for (const i of [1, 2, 3]) store.observe(playback({ event_id: `e${i}` }), 0, BASE, false);
  store.observe(impression({ event_id: 'i', profile_id: 'only seen' }), 0, BASE, false);
  store.observe(playback({ event_id: 'later', profile_id: 'p2', event_time: BASE + 4 * HOUR }), 0, BASE, false);
  const chunk = store.oldestClosed();
  expect(chunk && store.keysWithPlayback(chunk)).toEqual([store.keyOf('p1', 'series-1')]);
});

test('a profile or a work that is not held has no key', () => {
  const store = new FactStore(defaultPolicy);
  store.observe(impression(), 0, BASE, false);
  expect(store.keyOf('p1', 'series-1')).toBeGreaterThanOrEqual(0);
  expect(store.keyOf('p1', 'nothing')).toBe(-1);
  expect(store.keyOf('nobody', 'series-1')).toBe(-1);
});

test('a record keeps its time however far from that of its block, and its place behind records however long', () => {
  const block = new Block(BASE);
  const times = [0, -1, 2 ** 31 - 1, 2 ** 31, -(2 ** 31), 1 - 2 ** 31, 1e12, -1.7e12, 5].map((after) => BASE + after);
  const bytes = new Uint8Array(10_000_000);
  // Records that are longer than 16 bits tell, and short ones; one by one they grow past the columns' first size.
  const ends = Array.from({ length: 2_000 }, (_, i) => i * 3 + Math.ceil((i + 1) / 20) * 70_000);
  ends.forEach((end, i) => block.append(bytes, end, times[i % times.length], i, -1));
  const all = () => ends.map((_, i) => [block.timeOf(i), block.textAt(i), block.endOf(i)]);
  const expected = ends.map((end, i) => [times[i % times.length], ends[i - 1] ?? 0, end]);
  expect(all()).toEqual(expected);
  block.close();
  expect(all()).toEqual(expected);
});

test('a chunk that is full gives back what its last block has left over, too', () => {
  const store = new FactStore(defaultPolicy);
  for (let i = 0; i <= CHUNK_RECORDS; i++) {
    store.observe(impression({ event_id: `i${i}`, event_time: BASE + i }), 0, BASE + i, false);
  }
  const [full] = store.chunks.live;
  expect(full.full).toBe(true);
  expect(full.blocks.map(({ bytes, used }) => bytes.length - used)).toEqual(full.blocks.map(() => 0));
});
