import { describe, expect, test } from 'vitest';
import { casesOf } from './cases.ts';
import { type Counted, count, DAY, type Fields, HOUR, stream } from './reader.ts';

const { records, ledger } = stream();
const counted = count(records, 1);
const cases = casesOf(counted);
const firsts = counted.filter(({ fault, outcome }) => fault === null && outcome !== 'duplicate');
const impressions = firsts.filter(({ topic }) => topic === 'impression');
const playback = firsts.filter(({ topic }) => topic === 'playback');

const PERCENT = 0.01;
/** The least share of each hard case. */
const LEAST: Record<string, number> = {
  'playback among all': 18 * PERCENT,
  'dead-lettered': 0.1 * PERCENT,
  late: 0.5 * PERCENT,
  'late by less than an hour': 0.1 * PERCENT,
  'late by hours': 0.2 * PERCENT,
  'late, on the next day': 0.1 * PERCENT,
  'identical copies': 1 * PERCENT,
  'conflicting copies': 0.2 * PERCENT,
  'copies of late events': 0.01 * PERCENT,
  'out of order': 3 * PERCENT,
  'out of order by more than a minute': 0.5 * PERCENT,
  'impression series_id: absent': 10 * PERCENT,
  'impression series_id: null': 2 * PERCENT,
  'impression series_id: present': 15 * PERCENT,
  'impression token: absent': 3 * PERCENT,
  'impression token: null': 1 * PERCENT,
  'impression token: present': 80 * PERCENT,
  'impression profile_type: absent': 20 * PERCENT,
  'impression profile_type: null': 2 * PERCENT,
  'impression profile_type: present': 20 * PERCENT,
  'impression context: absent': 50 * PERCENT,
  'impression context: null': 0.5 * PERCENT,
  'impression context: present': 3 * PERCENT,
  'playback series_id: absent': 20 * PERCENT,
  'playback series_id: null': 2 * PERCENT,
  'playback series_id: present': 20 * PERCENT,
  'playback kind: absent': 20 * PERCENT,
  'playback kind: null': 2 * PERCENT,
  'playback kind: present': 10 * PERCENT,
  'playback muted_autoplay: absent': 20 * PERCENT,
  'playback muted_autoplay: null': 2 * PERCENT,
  'playback muted_autoplay: present': 5 * PERCENT,
  'playback position_ms: absent': 1 * PERCENT,
  'playback position_ms: null': 1 * PERCENT,
  'playback position_ms: present': 80 * PERCENT,
  'playback runtime_ms: absent': 5 * PERCENT,
  'playback runtime_ms: null': 1 * PERCENT,
  'playback runtime_ms: present': 70 * PERCENT,
  'playback profile_type: absent': 20 * PERCENT,
  'playback profile_type: null': 2 * PERCENT,
  'playback profile_type: present': 20 * PERCENT,
  excluded: 3 * PERCENT,
  trailer: 0.5 * PERCENT,
  preview: 1 * PERCENT,
  muted: 2 * PERCENT,
  'ISO time': 1 * PERCENT,
  'unknown fields': 1 * PERCENT,
  'not ASCII or escaped': 1 * PERCENT,
  'impressions at the same millisecond': 20 * PERCENT,
  'origin: absent': 4 * PERCENT,
  'origin: null': 1 * PERCENT,
  'origin: present': 70 * PERCENT,
  'launch by token': 60 * PERCENT,
  'launch by impression id': 10 * PERCENT,
  'launch by both': 5 * PERCENT,
  'launch by row only': 5 * PERCENT,
  'orphan token or impression id': 2 * PERCENT,
  'null token in an origin': 2 * PERCENT,
  'missing start': 2 * PERCENT,
  'missing stop': 5 * PERCENT,
  'short runtime': 1 * PERCENT,
  'runtime of 0': 2 * PERCENT,
  'taken up after a gap under the same playback id': 1 * PERCENT,
  'muted autoplay': 10 * PERCENT,
  'muted autoplay that turned into watching': 2 * PERCENT,
  'trailer or preview of which some events say nothing': 10 * PERCENT,
  'work watched on several devices': 8 * PERCENT,
  'work taken up after hours': 8 * PERCENT,
  'handed over within half an hour': 2 * PERCENT,
  'binge over midnight': 0.3 * PERCENT,
  'two screens at once': 3 * PERCENT,
};

function workOf({ fields }: Counted): string {
  return (fields!.series_id ?? fields!.title_id) as string;
}

function byCount(keys: string[]): [key: string, count: number][] {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

function sum(counts: [key: string, count: number][]): number {
  return counts.reduce((total, [, count]) => total + count, 0);
}

/** How much the greatest part of the keys has of everything. */
function shareOfTop(counts: [key: string, count: number][], part: number): number {
  return sum(counts.slice(0, Math.ceil(counts.length * part))) / sum(counts);
}

function inCountry(code: string): Counted[] {
  return impressions.filter(({ fields }) => fields!.country === code);
}

test('the run is of at least 100,000 events', () => {
  expect(firsts.length).toBeGreaterThanOrEqual(100_000);
});

test('every case that is counted has a least share', () => {
  expect(Object.keys(LEAST).sort()).toEqual(Object.keys(cases.shares).sort());
});

test.each(Object.entries(LEAST))('%s: at least a share of %f', (name, least) => {
  const { found, of } = cases.shares[name];
  expect(found / of, `${found} of ${of}`).toBeGreaterThanOrEqual(least);
});

test('both topics have what the design gives them: mostly impressions', () => {
  expect(cases.shares['playback among all'].found / firsts.length).toBeLessThan(0.35);
  const perProfileAndDay = records.length / (ledger.profiles * ledger.days);
  expect(perProfileAndDay).toBeGreaterThan(55);
  expect(perProfileAndDay).toBeLessThan(100);
});

test.each([
  'netflix_originals',
  'because_you_watched',
  'top_picks',
  'trending',
  'top_10',
  'recently_added',
  'new_releases',
  'more_to_explore',
  'genre',
  'billboard',
  'post_play',
  'continue_watching',
  'keep_watching',
  'watch_it_again',
  'watchlist',
  'my_list',
  'search',
  'details',
  'award_winners',
])('row %s: at least 100 impressions', (rowType) => {
  expect(cases.rowTypes.get(rowType)).toBeGreaterThanOrEqual(100);
});

test.each([
  'home',
  'search',
  'details',
  'deep_link',
  'notification',
  'voice',
  'external',
  'post_play',
  'autoplay_next',
])('surface %s: at least 0.5 %% of the launches', (surface) => {
  expect(cases.surfaces.get(surface)).toBeGreaterThanOrEqual(cases.shares['origin: present'].found * 0.005);
});

test.each(Object.keys(ledger.injected.poison).filter((kind) => kind !== 'truncated'))(
  'poison %s: at least 5 records',
  (kind) => {
    expect(cases.faults.get(kind)).toBeGreaterThanOrEqual(5);
  },
);

test('lines are cut off in the middle', () => {
  const cut = records.filter(
    ({ line, fault }) => fault === 'not_json' && /^\{"type":"(impression|playback)",".{20}/.test(line),
  );
  expect(cut.length).toBeGreaterThanOrEqual(5);
});

test('ISO times come with many offsets', () => {
  expect(cases.isoOffsets.size).toBeGreaterThanOrEqual(6);
});

describe('the service', () => {
  test('titles and profiles are zipf-like: a few have much', () => {
    expect(shareOfTop(byCount(impressions.map(workOf)), 0.05)).toBeGreaterThan(0.25);
    expect(shareOfTop(byCount(firsts.map(({ profile }) => profile)), 0.05)).toBeGreaterThan(0.12);
  });

  test('countries have favourites and titles of their own', () => {
    const us = byCount(inCountry('US').map(workOf)).map(([work]) => work);
    const br = byCount(inCountry('BR').map(workOf)).map(([work]) => work);
    expect(us.slice(0, 30).filter((work) => br.slice(0, 30).includes(work)).length).toBeLessThan(20);
    const often = us.slice(0, 300);
    expect(often.filter((work) => !br.includes(work)).length).toBeGreaterThan(20);
  });

  test('each country has a rhythm of its own day', () => {
    for (const [country, offset] of [
      ['US', -5],
      ['JP', 9],
    ] as const) {
      const hours = Array.from({ length: 24 }, () => 0);
      for (const { time } of inCountry(country)) hours[(Math.floor(time / HOUR) + offset + 24) % 24]++;
      const evening = hours[19] + hours[20] + hours[21];
      const night = hours[2] + hours[3] + hours[4];
      expect(evening).toBeGreaterThan(4 * night);
    }
  });

  test('most profiles use several devices', () => {
    const devices = new Map<string, Set<unknown>>();
    for (const { profile, fields } of firsts) {
      devices.set(profile, (devices.get(profile) ?? new Set()).add(fields!.device_type));
    }
    const several = [...devices.values()].filter((some) => some.size > 1).length;
    expect(several / devices.size).toBeGreaterThan(0.3);
  });

  test('a page view shows rows and tiles from the first on, and no more than fit', () => {
    const rows = new Map<string, Set<number>>();
    for (const { fields } of impressions) {
      const key = `${fields!.page_view_id as string} ${fields!.row_rank as number}`;
      rows.set(key, (rows.get(key) ?? new Set()).add(fields!.position as number));
    }
    const whole = [...rows.values()].filter((positions) => Math.max(...positions) === positions.size - 1);
    // Lost events leave holes.
    expect(whole.length / rows.size).toBeGreaterThan(0.97);
    expect(impressions.every(({ fields }) => (fields!.position as number) < 12)).toBe(true);
  });

  test('rows of begun titles show what the profile has watched before', () => {
    const watched = new Map<string, number>();
    for (const each of playback) {
      const key = `${each.profile} ${workOf(each)}`;
      watched.set(key, Math.min(watched.get(key) ?? Infinity, each.time));
    }
    const begun = impressions.filter(({ fields }) =>
      /continue_watching|keep_watching/.test(fields!.row_type as string),
    );
    const known = begun.filter((tile) => (watched.get(`${tile.profile} ${workOf(tile)}`) ?? Infinity) <= tile.time);
    expect(known.length / begun.length).toBeGreaterThan(0.97);
  });

  test('launches that name an impression mostly name one of the same profile and work, seen shortly before', () => {
    const seen = new Map(impressions.map((impression) => [impression.fields!.event_id, impression]));
    let right = 0;
    let named = 0;
    for (const start of playback) {
      const id = (start.fields!.origin as Fields | null | undefined)?.impression_id;
      const impression = seen.get(id);
      if (impression === undefined) continue;
      named++;
      const before = start.time - impression.time;
      const same = impression.profile === start.profile && workOf(impression) === workOf(start);
      if (same && before >= 0 && before < DAY) right++;
    }
    expect(named).toBeGreaterThan(100);
    expect(right / named).toBeGreaterThan(0.9);
  });
});
