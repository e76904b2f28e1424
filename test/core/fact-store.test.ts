import { describe, expect, test } from 'vitest';
import type { Event, Playback } from '../../attribution/events.ts';
import { ByteWriter } from '../../attribution/facts/bytes.ts';
import { EventFields } from '../../attribution/facts/event-fields.ts';
import { NO_CHECKSUM } from '../../attribution/facts/chunk.ts';
import { COPY_MEMORY_MS, FactStore, type Observed } from '../../attribution/facts/fact-store.ts';
import { identityHash } from '../../attribution/facts/held-records.ts';
import { KeyView } from '../../attribution/facts/key-view.ts';
import { endRestoring, restoreSegment, writeSegment } from '../../attribution/facts/segment.ts';
import { CLASS_CODES, defaultPolicy } from '../../attribution/policy.ts';
import { DAY } from '../../attribution/time.ts';
import { BASE, impression, origin, playback } from './samples.ts';

const NOTHING_YET = -Infinity;

/** The ids of the impressions and playback events that count for the key of an event. */
function heldOf(store: FactStore, { profile_id: profileId }: Event, workId: string): string[] {
  const view = new KeyView(store).load(store.keyOf(profileId, workId));
  return [
    ...Array.from({ length: view.impressions.count }, (_, i) => view.impressionId(i)),
    ...Array.from({ length: view.playbacks.count }, (_, i) => view.playbackEventId(i)),
  ];
}

function applied(key: number): Partial<Observed> {
  return { outcome: 'applied', conflict: false, key, lost: [] };
}

function copied(conflict: boolean): Partial<Observed> {
  return { outcome: 'duplicate', conflict, key: -1, lost: [] };
}

/** Whether a copy of an event, with this checksum of its payload, counts as a conflict. */
function conflictOf(event: Event, checksum: number, ofCopy: number): boolean {
  const store = new FactStore(defaultPolicy);
  store.observe(event, 0, NOTHING_YET, false, checksum);
  const observed = store.observe(event, 0, event.event_time, false, ofCopy);
  expect(observed.outcome).toBe('duplicate');
  return observed.conflict;
}

describe('a new event', () => {
  test('is applied, and its key has a new fact', () => {
    const store = new FactStore(defaultPolicy);
    expect(store.keyOf('p1', 'series-1')).toBe(-1);
    const { key } = store.observe(impression(), 0, NOTHING_YET, false);
    expect(store.keyOf('p1', 'series-1')).toBe(key);
    expect(store.keyOf('p1', 'episode-1')).toBe(-1);
    expect(store.keyOf('p2', 'series-1')).toBe(-1);
    expect(store.observe(playback(), 0, NOTHING_YET, false)).toMatchObject(applied(key));
    expect(heldOf(store, impression(), 'series-1')).toEqual(['i1', 'e1']);
    expect([store.records, store.keys.size]).toEqual([2, 1]);
  });

  test('that is a playback event marks its key, an impression does not', () => {
    const store = new FactStore(defaultPolicy);
    const { key } = store.observe(impression(), 0, NOTHING_YET, false);
    expect(store.hasPlayback(key)).toBe(false);
    store.observe(playback(), 0, NOTHING_YET, true);
    expect(store.hasPlayback(key)).toBe(false);
    store.observe(playback({ event_id: 'e2' }), 0, NOTHING_YET, false);
    expect(store.hasPlayback(key)).toBe(true);
  });

  test('with the id of another type or of another profile is another event', () => {
    const store = new FactStore(defaultPolicy);
    const events = [
      impression({ event_id: 'x' }),
      playback({ event_id: 'x' }),
      impression({ event_id: 'x', profile_id: 'p2' }),
      playback({ event_id: 'x', profile_id: 'p2' }),
    ];
    for (const event of events) expect(store.observe(event, 0, BASE, false).outcome).toBe('applied');
    for (const event of events) expect(store.observe(event, 0, BASE, false)).toMatchObject(copied(false));
    expect(store.records).toBe(8);
  });

  test('of a trailer, a preview or muted autoplay is excluded, and is a fact all the same', () => {
    const cases: [Partial<Playback>, boolean][] = [
      [{}, false],
      [{ kind: 'main', muted_autoplay: false }, false],
      [{ kind: 'trailer' }, true],
      [{ kind: 'preview' }, true],
      [{ muted_autoplay: true }, true],
      [{ kind: 'main', muted_autoplay: true }, true],
    ];
    for (const [change, excluded] of cases) {
      const store = new FactStore(defaultPolicy);
      expect(new EventFields().set(playback(change)).isExcluded).toBe(excluded);
      const observed = store.observe(playback(change), 0, NOTHING_YET, false);
      expect(observed.outcome).toBe(excluded ? 'excluded' : 'applied');
      expect(observed.key).toBe(store.keyOf('p1', 'series-1'));
      expect(heldOf(store, playback(), 'series-1')).toEqual(['e1']);
    }
    expect(new EventFields().set(impression()).isExcluded).toBe(false);
  });

  test('that is late is known, but no fact, be it excluded or not', () => {
    for (const event of [impression(), playback(), playback({ kind: 'trailer' })]) {
      const store = new FactStore(defaultPolicy);
      const late = { outcome: 'late', conflict: false, key: -1, lost: [] };
      expect(store.observe(event, 0, BASE + DAY, true)).toMatchObject(late);
      expect(heldOf(store, event, 'series-1')).toEqual([]);
      expect(store.observe(event, 0, BASE + DAY, true)).toMatchObject(copied(false));
    }
  });
});

describe('a copy', () => {
  test.each([
    ['read in time', BASE, BASE],
    ['read behind the clock', BASE + 5 * 60_000, BASE + 5 * 60_000],
    ['read first of all', NOTHING_YET, BASE],
    ['read long after', BASE + 2 * DAY, BASE + 2 * DAY],
  ])('is recognised for exactly 24 h of the clock of its log: %s', (_, clock, clockThen) => {
    expect(COPY_MEMORY_MS).toBe(24 * 60 * 60 * 1000);
    for (const late of [false, true]) {
      const first = new FactStore(defaultPolicy);
      first.observe(impression(), 0, clock, late);
      expect(first.observe(impression(), 0, clockThen + COPY_MEMORY_MS, true).outcome).toBe('duplicate');
      const second = new FactStore(defaultPolicy);
      second.observe(impression(), 0, clock, late);
      expect(second.observe(impression(), 0, clockThen + COPY_MEMORY_MS + 1, true).outcome).toBe('late');
    }
  });

  test('that is no longer recognised is applied, and yet no second fact', () => {
    const store = new FactStore(defaultPolicy);
    const { key } = store.observe(playback(), 0, NOTHING_YET, false);
    expect(store.observe(playback(), 0, BASE + DAY + 1, false)).toMatchObject(applied(-1));
    expect(store.observe(playback({ kind: 'trailer' }), 0, BASE + 3 * DAY, false).outcome).toBe('excluded');
    expect(heldOf(store, playback(), 'series-1')).toEqual(['e1']);
    expect(store.recordsOf(key, [])).toBe(1);
  });

  test('of a late event does not make it one', () => {
    const store = new FactStore(defaultPolicy);
    store.observe(playback(), 0, BASE + DAY, true);
    const { key } = store.observe(playback(), 0, BASE + 2 * DAY + 1, false);
    expect(key).toBe(store.keyOf('p1', 'series-1'));
    expect(heldOf(store, playback(), 'series-1')).toEqual(['e1']);
  });

  test('changes no fact, and is remembered with the payload that counts', () => {
    const store = new FactStore(defaultPolicy);
    store.observe(playback({ origin: origin() }), 0, NOTHING_YET, false, 1);
    const other = origin({ surface: 'another', row_type: 'another' });
    const copy = playback({ origin: other, country: 'CA', device_type: 'mobile', title_id: 'other', series_id: 's2' });
    expect(store.observe(copy, 0, BASE, false, 2)).toMatchObject(copied(true));
    expect(heldOf(store, playback(), 'series-1')).toHaveLength(1);
    expect(heldOf(store, copy, 's2')).toEqual([]);
    const afterADay = BASE + COPY_MEMORY_MS + 1;
    expect(store.observe(playback(), 0, BASE + COPY_MEMORY_MS, false, 1)).toMatchObject(copied(false));
    expect(store.observe(playback(), 0, afterADay, false, 1)).toMatchObject(copied(false));
  });

  test('is a copy of any record of the last 24 h, itself a copy or not', () => {
    const store = new FactStore(defaultPolicy);
    for (const hours of [0, 23, 46, 69]) {
      const clock = BASE + (hours * DAY) / 24;
      const { outcome } = store.observe(playback(), 0, clock, false);
      expect(outcome, `after ${hours} h`).toBe(hours === 0 ? 'applied' : 'duplicate');
    }
  });
});

describe('an event that is sent again and again', () => {
  const COPIES = 1_000;

  /** How many records are found by the event's identity. */
  function found(store: FactStore, { event_id: id }: Event): number {
    const writer = new ByteWriter();
    writer.text(id);
    return store.find(identityHash(writer.bytes, 0, writer.length, store.profiles.find('p1'), 0), []);
  }

  function stormOf(late: boolean): FactStore {
    const store = new FactStore(defaultPolicy);
    for (const source of [0, 1]) store.observe(impression(), source, NOTHING_YET, late);
    for (let copy = 0; copy < COPIES; copy++) {
      expect(store.observe(impression(), copy % 2, BASE + copy * 1_000, late).outcome).toBe('duplicate');
    }
    return store;
  }

  test('is looked for among what counts and the last copy in each topic-partition, not among all copies', () => {
    expect(found(stormOf(false), impression())).toBe(4);
    expect(found(stormOf(true), impression())).toBe(2);
  });

  test('is so after a restart, too', () => {
    for (const late of [false, true]) {
      const store = stormOf(late);
      const restored = new FactStore(defaultPolicy);
      for (const { chunk, count } of store.cut().chunks) {
        const into = restored.chunks.restore(chunk.serial, chunk.begunAt);
        const segment = writeSegment(store, chunk, 0, count);
        let parts = segment.next();
        while (!parts.done) parts = segment.next();
        for (const _ of restoreSegment(restored, into, Buffer.concat(parts.value)));
      }
      endRestoring(restored);
      expect(restored.records).toBe(COPIES + 2);
      expect(found(restored, impression())).toBe(late ? 2 : 4);
      const last = BASE + (COPIES - 1) * 1_000;
      expect(restored.observe(impression(), 1, last + COPY_MEMORY_MS, true).outcome).toBe('duplicate');
      expect(restored.observe(impression(), 0, last + COPY_MEMORY_MS, true).outcome).toBe('late');
    }
  });

  test('leaves nothing behind when its records are dropped', () => {
    for (const late of [false, true]) {
      const store = stormOf(late);
      store.dropOldest();
      // Whatever comes while they are swept is a copy of none of them.
      expect(store.observe(impression(), 0, BASE + 3 * DAY, true).outcome).toBe('late');
      store.sweep();
      expect([store.records, found(store, impression())]).toEqual([1, 1]);
      store.dropOldest();
      store.sweep();
      expect([store.keys.size, store.profiles.size, store.works.size, store.dictionaries.places.size]).toEqual([
        0, 0, 0, 0,
      ]);
    }
  });
});

describe('an event in two topic-partitions', () => {
  test('counts in the smaller, whichever is read first, however it differs', () => {
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 0, 2],
      [1, 2, 0],
      [2, 0, 1],
    ]) {
      const store = new FactStore(defaultPolicy);
      for (const source of order) {
        const event = playback({ country: `of ${source}`, event_time: BASE + source });
        expect(store.observe(event, source, BASE, false).outcome).toBe('applied');
      }
      const view = new KeyView(store).load(store.keyOf('p1', 'series-1'));
      expect(view.playbacks.count).toBe(1);
      expect(view.playbacks.time[0]).toBe(BASE);
      expect(store.dictionaries.labels.text(view.playback(0).country)).toBe('of 0');
    }
  });

  test('names the key that lost it, where it changed its work', () => {
    const store = new FactStore(defaultPolicy);
    const { key: loser } = store.observe(playback({ series_id: null }), 1, BASE, false);
    const { key: winner, lost } = store.observe(playback(), 0, BASE, false);
    expect(lost.map((fact) => fact.key)).toEqual([loser]);
    expect(winner).not.toBe(loser);
    expect(heldOf(store, playback(), 'episode-1')).toEqual([]);
    expect(heldOf(store, playback(), 'series-1')).toEqual(['e1']);
  });

  test('counts in the greater where it was late in the smaller', () => {
    const store = new FactStore(defaultPolicy);
    store.observe(playback(), 0, BASE + DAY, true);
    expect(store.observe(playback(), 1, BASE, false).key).toBe(store.keyOf('p1', 'series-1'));
    expect(heldOf(store, playback(), 'series-1')).toEqual(['e1']);
    expect(store.observe(playback(), 2, BASE, true).outcome).toBe('late');
  });

  test('is a copy in each of them', () => {
    const store = new FactStore(defaultPolicy);
    store.observe(playback({ country: 'CA' }), 0, BASE, false);
    store.observe(playback(), 1, BASE, false);
    expect(store.observe(playback(), 0, BASE, false)).toMatchObject(copied(false));
    expect(store.observe(playback(), 1, BASE, false)).toMatchObject(copied(false));
    expect(store.records).toBe(4);
  });
});

describe('a copy is a conflict', () => {
  test.each([
    [1, 2],
    [0x7fffffff, 0x80000000],
    [0xffffffff, 0xfffffffe],
    [0x00000100, 0x00010000],
  ])('where the payloads differ: checksums %i and %i', (one, other) => {
    expect(conflictOf(impression(), one, other)).toBe(true);
    expect(conflictOf(playback(), other, one)).toBe(true);
  });

  test('and not where nothing is known of one of them', () => {
    expect(conflictOf(impression(), NO_CHECKSUM, 1)).toBe(false);
    expect(conflictOf(playback(), 1, NO_CHECKSUM)).toBe(false);
  });

  test.each([0, 1, 0x80000000, 0xffffffff])('and not where they are the same: checksum %i', (checksum) => {
    expect(conflictOf(impression(), checksum, checksum)).toBe(false);
    expect(conflictOf(playback(), checksum, checksum)).toBe(false);
  });
});

test('the store knows the class of each of many places', () => {
  const store = new FactStore(defaultPolicy);
  const types = ['top_picks', 'my_list', 'search', 'details'];
  const classes = ['discovery', 'continuation', 'intent', 'system'] as const;
  for (let i = 0; i < 1_200; i++) {
    const change = { event_id: `i${i}`, row_type: types[i % 4] ?? '', page: `page ${i}`, event_time: BASE + i };
    store.observe(impression(change), 0, NOTHING_YET, false);
  }
  const { impressions } = new KeyView(store).load(store.keyOf('p1', 'series-1'));
  const given = Array.from({ length: 1_200 }, (_, i) => impressions.surfaceClass[i]);
  expect(given).toEqual(Array.from({ length: 1_200 }, (_, i) => CLASS_CODES[classes[i % 4] ?? 'system']));
});
