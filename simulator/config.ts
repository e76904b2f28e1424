/**
 * Every number that shapes the stream, in one place: how people behave, and what goes wrong on the way to the log.
 * Shares are of the events (or of whatever the comment names) and lie between 0 and 1; ranges are [least, most].
 */

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** The step in which simulated time goes by; divides a day. Short, so that few lines wait in memory at a time. */
export const TICK = 10 * SECOND;

/** What readers call late: more than this behind the greatest event time of the log so far. */
export const ALLOWED_LATENESS = 10 * MINUTE;

export type Range = readonly [least: number, most: number];

/** Trouble between the device and the log. */
export const DELIVERY = {
  /** How long an untroubled event takes to the log, ms: by the profile's line, and by chance. */
  transit: [30, 900] satisfies Range,
  jitter: [0, 60] satisfies Range,
  /** Held back on the device for a while, yet on time. The longest hold stays below ALLOWED_LATENESS by a margin. */
  outOfOrder: { share: 0.05, hold: [5 * SECOND, 7 * MINUTE] satisfies Range },
  /** Sent again, byte by byte the same. */
  duplicate: { share: 0.012 },
  /** Sent again under the same event_id with another payload. */
  conflict: { share: 0.003 },
  /** How long after the first a copy follows, with the share of the copies: retries, queues, restored phones. */
  copyDelay: [
    { share: 0.7, range: [50, 30 * SECOND] },
    { share: 0.25, range: [30 * SECOND, 12 * MINUTE] },
    { share: 0.05, range: [12 * MINUTE, 10 * HOUR] },
  ] satisfies Mix,
  /** No copy follows later than this after the event's own time: readers promise to know an id for 24 h. */
  copyHorizon: 20 * HOUR,
  /** Single events that arrive late. Whole plays watched offline come on top (BEHAVIOUR.offline). */
  late: { share: 0.006 },
  /** How long a late event is held at least. It then waits for its profile to be seen again (see delivery.ts). */
  lateHold: [
    { share: 0.65, range: [11 * MINUTE, 40 * MINUTE] },
    { share: 0.2, range: [40 * MINUTE, 6 * HOUR] },
    { share: 0.15, range: [6 * HOUR, 20 * HOUR] },
  ] satisfies Mix,
  /** Late events that one profile can have waiting; what comes on top is delivered on time. */
  lateWaiting: 64,
  /** Broken records, on top of the sound ones. */
  poison: { share: 0.002 },
} as const;

/** Ranges with the share that falls into each; the shares add up to 1. */
export type Mix = readonly { readonly share: number; readonly range: Range }[];

/** How people browse and watch. */
export const BEHAVIOUR = {
  /** Sessions of the average profile on a day, before the zipf weights and their cap. */
  sessionsPerDay: 1.5,
  /** Activity ∝ 1 / rank^exponent, at most `most` sessions a day. */
  activity: { exponent: 0.6, most: 9 },
  /** What opens a session; the rest opens the homepage. */
  opensWith: { search: 0.07, deep_link: 0.035, notification: 0.035, voice: 0.025, external: 0.02 },
  /** After a page view; the rest leaves. */
  afterBrowsing: { launch: 0.42, details: 0.07, search: 0.06, browse: 0.36 },
  /** Rows scrolled into view below the first two: each further row with this chance. */
  scrollsOn: 0.7,
  /** A row scrolled sideways. */
  scrollsSideways: 0.12,
  /** A billboard that begins to play by itself, on big screens; then watched. */
  billboard: { autoplays: 0.3, isPreview: 0.3, watched: 0.3 },
  /** A hovered tile that shows a silent preview, per page view. */
  hoverPreview: 0.05,
  /** A details page on which the trailer is watched; on which the title is then played. */
  details: { trailer: 0.45, play: 0.7 },
  /** A page view on which one of the titles is put on the list. */
  listed: 0.12,
  /** A launch that takes up what was begun, where the page shows such a row. */
  prefersContinuing: 0.4,
  /** How a playback goes: left at once, or watched to its end; the rest leaves somewhere in between. */
  leaves: { atOnce: 0.17, atEnd: 0.45 },
  /** Watching on: the next episode by itself; else a post-play page, and a launch from it. */
  afterPlay: { nextEpisode: 0.68, postPlay: 0.3, postPlayLaunch: 0.45, browse: 0.3 },
  /** Episodes that follow one another at most. */
  longestBinge: 12,
  /** A play taken up on another device within minutes. */
  handover: { share: 0.07, gap: [20 * SECOND, 25 * MINUTE] satisfies Range },
  /** A second screen of the same profile that opens while the first plays. */
  secondScreen: { share: 0.05, after: [2 * MINUTE, 15 * MINUTE] satisfies Range },
  /** A playback watched without a network on a phone or tablet: all of its events come late. */
  offline: 0.03,
  /** A pause at a heartbeat; how many of the pauses last for hours, the playback id staying the same. */
  pause: {
    share: 0.07,
    short: [5 * SECOND, 8 * MINUTE] satisfies Range,
    hours: 0.1,
    long: [35 * MINUTE, 9 * HOUR] satisfies Range,
  },
  /** Seconds between heartbeats: players report less and less often; the last one repeats. */
  heartbeats: [60, 90, 120, 240, 420, 600],
  missingStart: 0.03,
  missingStop: 0.08,
} as const;

/** What launches say of themselves, as shares of the launches from a tile. */
export const ORIGINS = {
  /** Says nothing: no `origin`, or null. */
  none: 0.06,
  /** Surface and row only, no token. */
  rowOnly: 0.08,
  /** Names the impression by its id, with or without the token. */
  impressionId: 0.06,
  impressionIdAndToken: 0.1,
  /** The rest has the token; of all that name an impression, these name one that nobody ever saw. */
  orphan: 0.04,
} as const;

/** What the events say and how, as shares of the events. */
export const WRITING = {
  isoTime: 0.02,
  tokenAbsent: 0.06,
  tokenNull: 0.03,
  kindSaid: 0.2,
  kindNull: 0.06,
  mutedSaid: 0.1,
  mutedNull: 0.05,
  positionAbsent: 0.03,
  positionNull: 0.02,
  runtimeAbsent: 0.12,
  runtimeNull: 0.03,
  runtimeZero: 0.01,
} as const;

export const CATALOG = {
  works: 2_400,
  series: 0.35,
  episodes: [4, 40] satisfies Range,
  episodeMinutes: [18, 58] satisfies Range,
  filmMinutes: [72, 165] satisfies Range,
  /** Of the films: clips shorter than 240 s. */
  shorts: 0.08,
  shortSeconds: [50, 230] satisfies Range,
  /** Shown in every country; the others in one to three. */
  everywhere: 0.6,
  /** How far a country's taste departs from the world's (standard deviation of the logarithm of the rank). */
  taste: 0.9,
} as const;

export interface Country {
  readonly code: string;
  /** Share of the profiles. */
  readonly share: number;
  /** Local time − UTC, minutes. */
  readonly offset: number;
}

export const COUNTRIES: readonly Country[] = [
  { code: 'US', share: 0.34, offset: -300 },
  { code: 'BR', share: 0.15, offset: -180 },
  { code: 'GB', share: 0.13, offset: 0 },
  { code: 'DE', share: 0.12, offset: 60 },
  { code: 'IN', share: 0.11, offset: 330 },
  { code: 'JP', share: 0.1, offset: 540 },
  { code: 'NZ', share: 0.05, offset: 720 },
];

/** How lively each local hour is. */
export const RHYTHM: readonly number[] = [
  0.9, 0.5, 0.25, 0.15, 0.1, 0.12, 0.3, 0.5, 0.6, 0.55, 0.55, 0.6, 0.8, 0.85, 0.75, 0.8, 0.95, 1.2, 1.6, 2.1, 2.5, 2.6,
  2.2, 1.5,
];

export interface Device {
  readonly type: string;
  /** Tiles of a row that fit on the screen. */
  readonly columns: number;
  /** Plays billboards by itself. */
  readonly autoplays: boolean;
  /** Can play what was downloaded. */
  readonly downloads: boolean;
}

export const DEVICES: readonly Device[] = [
  { type: 'tv', columns: 6, autoplays: true, downloads: false },
  { type: 'phone', columns: 3, autoplays: false, downloads: true },
  { type: 'web', columns: 6, autoplays: true, downloads: false },
  { type: 'tablet', columns: 4, autoplays: false, downloads: true },
];

export const GENRES = ['drama', 'comedy', 'thriller', 'kids', 'documentary', 'romance', 'sci_fi', 'anime'] as const;

/**
 * The rows below the billboard and the begun titles, in the order of which each profile sees a rotation that turns
 * by the day. `award_winners` is in no policy: a reader reports its class as unknown and drops nothing.
 */
export const HOME_ROWS = [
  'top_picks',
  'trending',
  'because_you_watched',
  'netflix_originals',
  'genre',
  'top_10',
  'my_list',
  'new_releases',
  'genre',
  'recently_added',
  'watch_it_again',
  'more_to_explore',
  'award_winners',
] as const;
