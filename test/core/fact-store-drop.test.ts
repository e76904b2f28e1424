import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Event } from '../../attribution/events.ts';
import { FactStore } from '../../attribution/facts/fact-store.ts';
import { KeyView } from '../../attribution/facts/key-view.ts';
import { defaultPolicy } from '../../attribution/policy.ts';
import { DAY, HOUR } from '../../attribution/time.ts';
import { BASE, impression, origin, playback, workOf, placeOf } from './samples.ts';
import { runs } from './runs.ts';

const SPAN = 3 * HOUR;

/** Reads an event at the time that its log's clock then shows. */
function observeAt(store: FactStore, event: Event, late = false) {
  return store.observe(event, 0, event.event_time, late);
}

function heldIds(store: FactStore, profileId: string, workId: string): string[] {
  const view = new KeyView(store).load(store.keyOf(profileId, workId));
  return Array.from({ length: view.impressions.count }, (_, i) => view.impressionId(i));
}

/** An impression that is read so long after the first. */
function seenAfter(ms: number, change: Parameters<typeof impression>[0] = {}) {
  return impression({ event_id: `after ${ms}`, event_time: BASE + ms, ...change });
}

describe('a chunk', () => {
  test('takes records for three hours of the clock, and not for a millisecond more', () => {
    const store = new FactStore(defaultPolicy);
    observeAt(store, seenAfter(0));
    observeAt(store, seenAfter(SPAN - 1));
    expect(store.oldestClosed()).toBeNull();
    observeAt(store, seenAfter(SPAN));
    expect(store.oldestClosed()?.count).toBe(2);
    expect(store.records).toBe(3);
  });

  test('spans from the clock of the record that began it', () => {
    const store = new FactStore(defaultPolicy);
    for (let i = 0; i < 10; i++) observeAt(store, seenAfter(i * SPAN));
    const counts = [];
    for (let chunk = store.oldestClosed(); chunk !== null; chunk = store.oldestClosed()) {
      counts.push(chunk.count);
      store.dropOldest();
    }
    expect(counts).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 1]);
    expect(store.records).toBe(1);
  });

  test('knows the greatest time and the greatest clock in it', () => {
    const store = new FactStore(defaultPolicy);
    store.observe(seenAfter(5), 0, BASE + 100, false);
    store.observe(seenAfter(50), 0, BASE, false);
    observeAt(store, seenAfter(SPAN + 100));
    const chunk = store.oldestClosed();
    expect([chunk?.greatestTime, chunk?.greatestClock]).toEqual([BASE + 50, BASE + 100]);
  });

  test('keeps every record of many, and gives back what it reserved when it is closed', () => {
    const store = new FactStore(defaultPolicy);
    const ids = Array.from({ length: 5_000 }, (_, i) => `an id that is no UUID and rather long, number ${i}`);
    for (const [i, id] of ids.entries()) observeAt(store, seenAfter(i, { event_id: id, token: `${id}, its token` }));
    const open = store.footprint;
    expect(heldIds(store, 'p1', 'series-1')).toEqual(ids);
    observeAt(store, seenAfter(SPAN));
    expect(store.oldestClosed()?.footprint).toBeLessThan(open);
    expect(store.oldestClosed()?.blocks.map(({ key }) => key.length)).toEqual([5_000]);
    expect(heldIds(store, 'p1', 'series-1')).toEqual([...ids, `after ${SPAN}`]);
    for (const [i, id] of ids.entries()) {
      const copy = seenAfter(i, { event_id: id, token: `${id}, its token` });
      const { outcome, conflict } = store.observe(copy, 0, BASE + SPAN, false);
      if (outcome !== 'duplicate' || conflict) expect(id).toBe('recognised');
    }
  });
});

describe('dropping the oldest chunk', () => {
  test('of an empty store does nothing', () => {
    const store = new FactStore(defaultPolicy);
    store.dropOldest();
    store.sweep();
    expect(store.oldestClosed()).toBeNull();
    expect([store.records, store.footprint]).toEqual([0, new FactStore(defaultPolicy).footprint]);
  });

  test('takes its facts, and leaves those of the same key that came later', () => {
    const store = new FactStore(defaultPolicy);
    const keys = [0, 1, 2].map((i) => observeAt(store, seenAfter(i * SPAN)).key);
    expect(new Set(keys).size).toBe(1);
    store.dropOldest();
    store.sweep();
    expect(heldIds(store, 'p1', 'series-1')).toEqual([`after ${SPAN}`, `after ${2 * SPAN}`]);
    store.dropOldest();
    store.sweep();
    expect(heldIds(store, 'p1', 'series-1')).toEqual([`after ${2 * SPAN}`]);
  });

  test('leaves a key whose newest fact was dropped, but that another record names, without facts', () => {
    const store = new FactStore(defaultPolicy);
    const { key } = observeAt(store, seenAfter(0));
    observeAt(store, seenAfter(SPAN), true);
    store.dropOldest();
    store.sweep();
    expect(store.keyOf('p1', 'series-1')).toBe(key);
    expect(heldIds(store, 'p1', 'series-1')).toEqual([]);
    observeAt(store, seenAfter(SPAN + 1));
    expect(heldIds(store, 'p1', 'series-1')).toEqual([`after ${SPAN + 1}`]);
  });

  test('forgets a key that nothing names any more, and that it ever had playback', () => {
    const store = new FactStore(defaultPolicy);
    observeAt(store, playback());
    observeAt(store, seenAfter(SPAN, { profile_id: 'p2' }));
    store.dropOldest();
    store.sweep();
    expect(store.keyOf('p1', 'series-1')).toBe(-1);
    const { key } = observeAt(store, seenAfter(SPAN + 1));
    expect(store.hasPlayback(key)).toBe(false);
  });

  test('forgets that an event was read', () => {
    const store = new FactStore(defaultPolicy);
    observeAt(store, seenAfter(0));
    observeAt(store, seenAfter(SPAN));
    store.dropOldest();
    store.sweep();
    expect(store.observe(seenAfter(0), 0, BASE + SPAN, false).outcome).toBe('applied');
  });

  test('does not forget a copy that was read later', () => {
    const store = new FactStore(defaultPolicy);
    observeAt(store, seenAfter(0));
    observeAt(store, seenAfter(SPAN));
    expect(store.observe(seenAfter(0), 0, BASE + SPAN, false).outcome).toBe('duplicate');
    store.dropOldest();
    store.sweep();
    expect(store.observe(seenAfter(0), 0, BASE + SPAN, false).outcome).toBe('duplicate');
  });

  test('makes a number that it held no number at all', () => {
    const store = new FactStore(defaultPolicy);
    const { key } = observeAt(store, seenAfter(0));
    const numbers: number[] = [];
    expect(store.recordsOf(key, numbers)).toBe(1);
    observeAt(store, seenAfter(SPAN));
    store.dropOldest();
    store.sweep();
    const [number] = numbers;
    expect(() => store.chunkOf(number)).toThrow(new RangeError(`Record ${number} is no longer held`));
  });
});

function unique(strings: string[]): number {
  return new Set(strings).size;
}

/** What the store holds strings of. */
function namesOf(events: readonly Event[]) {
  const playbacks = events.filter((event) => event.type === 'playback');
  return {
    records: events.length,
    profiles: unique(events.map((event) => event.profile_id)),
    works: unique(events.map(workOf)),
    keys: unique(events.map((event) => `${event.profile_id} ${workOf(event)}`)),
    labels: unique(playbacks.flatMap((event) => [event.title_id, event.country, event.device_type])),
    places: unique(
      events.flatMap((event) => {
        if (event.type === 'impression') return [placeOf(event.page, event.row_type, event.row_id)];
        return event.origin === null ? [] : [placeOf(event.origin.surface, event.origin.row_type, event.origin.row_id)];
      }),
    ),
  };
}

function sizesOf({ records, profiles, works, keys, dictionaries }: FactStore) {
  const { labels, places } = dictionaries;
  const sizes = { profiles: profiles.size, works: works.size, keys: keys.size, labels: labels.size };
  return { records, ...sizes, places: places.size };
}

const few = (...names: string[]) => fc.constantFrom(...names);
const common = {
  event_id: fc.nat({ max: 30 }).map(String),
  profile_id: few('p1', 'p2', 'p3'),
  country: few('US', 'CA', 'tv'),
  device_type: few('tv', 'mobile'),
  title_id: few('w1', 'w2', 'w3'),
  series_id: few('w1', 's1', 's2').map((name) => (name === 's2' ? null : name)),
};
const row = { row_type: few('r1', 'r2'), row_id: few('a', 'b'), surface: few('home', 'search') };
const event: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ ...common, row_type: row.row_type, row_id: row.row_id, page: row.surface }).map(impression),
  fc.record({ ...common, origin: fc.option(fc.record(row).map(origin)) }).map(playback),
);
const reading = fc.record({
  event,
  after: fc.constantFrom(0, 0, 1, HOUR, 2 * HOUR, SPAN, DAY),
  late: fc.boolean(),
  source: fc.nat({ max: 1 }),
  drop: fc.nat({ max: 6 }).map((drawn) => drawn === 0),
  sweep: fc.boolean(),
});

test('the store holds the strings and keys of the records in it, and no other, whatever was dropped', () => {
  let dropped = 0;
  fc.assert(
    fc.property(fc.array(reading, { maxLength: 60, size: 'max' }), (readings) => {
      const store = new FactStore(defaultPolicy);
      const read: Event[] = [];
      let clock = BASE;
      for (const { event, after, late, source, drop, sweep } of readings) {
        clock += after;
        const timed = { ...event, event_time: clock };
        store.observe(timed, source, clock, late);
        read.push(timed);
        if (drop && store.oldestClosed() !== null) {
          store.dropOldest();
          dropped++;
        }
        if (!sweep) continue;
        store.sweep();
        // Chunks leave in the order in which their records came.
        expect(sizesOf(store)).toEqual(namesOf(read.slice(read.length - store.records)));
      }
      // What was dropped before has been given back by what came since, or is now.
      store.sweep();
      expect(sizesOf(store)).toEqual(namesOf(read.slice(read.length - store.records)));
    }),
    { numRuns: runs(150) },
  );
  expect(dropped).toBeGreaterThan(runs(150) / 2);
});
