/** What the worlds of the property tests draw from: few values, most of them at the edge of a rule. */

import * as fc from 'fast-check';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A millisecond before, at, and after. */
function around(time: number): number[] {
  return [time - 1, time, time + 1];
}

/** One value with a weight, against all others together with a weight of 1. */
export function mostly<T>(value: T, weight: number, ...others: T[]): fc.Arbitrary<T> {
  return fc.oneof({ arbitrary: fc.constant(value), weight }, { arbitrary: fc.constantFrom(...others), weight: 1 });
}

/** 2025-11-24T16:00:00Z, and moments from which others are exactly a window away; 8 h later it is midnight. */
const BASE = Date.parse('2025-11-24T16:00:00Z');
const MOMENTS_AFTER_BASE = [0, 0, 0, MINUTE, 10 * MINUTE, ...around(30 * MINUTE), 2 * HOUR, 8 * HOUR - 1, 8 * HOUR];
export const MOMENTS = [...MOMENTS_AFTER_BASE, ...around(DAY), 7 * DAY, ...around(30 * DAY)].map(
  (after) => BASE + after,
);

/** How long before a play something was seen. */
const LONG_BEFORE = [2 * HOUR, ...around(DAY), 7 * DAY, ...around(30 * DAY)];
export const BEFORE_PLAY = [
  -1,
  0,
  0,
  0,
  1,
  MINUTE,
  MINUTE,
  MINUTE,
  10 * MINUTE,
  ...around(30 * MINUTE),
  ...LONG_BEFORE,
];

/** From one playback event to the next. */
const SHORT_GAPS = [0, 1, 30 * SECOND, 50 * SECOND, MINUTE, MINUTE, MINUTE, 2 * MINUTE, 2 * MINUTE];
export const GAPS = [...SHORT_GAPS, ...around(2 * MINUTE), ...around(10 * MINUTE), ...around(30 * MINUTE)];

/** How long after its time a record is read. */
export const DELAYS = [1, MINUTE, ...around(10 * MINUTE), HOUR, ...around(DAY), 30 * DAY];
export const COPY_DELAYS = [0, 0, 1, MINUTE, ...around(10 * MINUTE), ...around(DAY), 2 * DAY, 30 * DAY, 60 * DAY];

/** How far an event is ahead of one that is read beside it. */
export const CLOCKS_AHEAD = [...around(10 * MINUTE), ...around(10 * MINUTE), ...around(DAY)];

/** By code unit U+1D49C is before U+FF5E, by code point and in UTF-8 after it. */
const SUPPLEMENTARY = '\u{1D49C}';
const FULLWIDTH_TILDE = '\uFF5E';
export const PROFILES = [`p${FULLWIDTH_TILDE}`, `p${SUPPLEMENTARY}`] as const;
export const ID_PREFIXES = [FULLWIDTH_TILDE, FULLWIDTH_TILDE, SUPPLEMENTARY, SUPPLEMENTARY, 'e', 'é'];
/** The same for impressions and playback events, and for all profiles. */
export const SHARED_IDS = [FULLWIDTH_TILDE, SUPPLEMENTARY, 'x'];
export const PLAYBACK_IDS = ['b', `b${FULLWIDTH_TILDE}`, `b${SUPPLEMENTARY}`];
export const TOKENS = ['t1', 't2'];

/** One work is a series with two episodes, the other a plain title. */
export const EPISODES = [
  { title_id: 'série-1', series_id: 'série' },
  { title_id: 'série-2', series_id: 'série' },
] as const;
export const PLAIN_TITLE = 'кино';

/** Of every class, and unknown ones; some of these are names that every object of this language has. */
export const ROW_TYPES = [
  'trending top_10 billboard genre because_you_watched post_play',
  'continue_watching continue_watching my_list watchlist search deep_link autoplay_next',
  'search_results mood Top_10 constructor __proto__',
].flatMap((words) => words.split(' '));
export const SURFACES = [
  'home home home post_play search search deep_link notification voice external',
  'details details autoplay_next continue_watching games unknown constructor',
].flatMap((words) => words.split(' '));

export const RUNTIMES = [-5, 0, 1, 100 * SECOND, 199_999, 4 * MINUTE - 1, 4 * MINUTE, 2 * HOUR];

export const ORIGIN_KINDS = [
  'surface',
  'row',
  'row',
  'token',
  'unheld_token',
  'impression',
  'impression',
  'impression',
  'unheld_impression',
  'any_impression',
] as const;

export const IMPRESSION_TOPICS = ['impressions', 'more-impressions'] as const;
export const PLAYBACK_TOPICS = ['playback', 'more-playback'] as const;
