/**
 * The records as text. Lines are put together from parts that know their own JSON, which is several times as fast as
 * JSON.stringify: ids, slugs and numbers of our own making need no escaping, and what might (free text) is a constant
 * that went through JSON.stringify once.
 */
import { MINUTE, WRITING } from './config.ts';
import type { Random } from './random.ts';

const OFFSETS = [0, 0, 120, -300, 330, -180, 765, -570];

/** Mostly epoch milliseconds; now and then ISO-8601, with the offset of whoever wrote the client. */
export function timeText(random: Random, time: number): string {
  return random.chance(WRITING.isoTime) ? `"${isoText(time, random.pick(OFFSETS), random.chance(0.5))}"` : `${time}`;
}

function isoText(time: number, offset: number, zulu: boolean): string {
  const local = new Date(time + offset * MINUTE).toISOString().replace('.000Z', 'Z').slice(0, -1);
  if (offset === 0 && zulu) return `${local}Z`;
  const minutes = Math.abs(offset);
  const hh = String(Math.floor(minutes / 60)).padStart(2, '0');
  const mm = String(minutes % 60).padStart(2, '0');
  return `${local}${offset < 0 ? '-' : '+'}${hh}:${mm}`;
}

/** Where a tile stood: what an impression says, and what a launch from it may say. */
export interface Place {
  page: string;
  rowType: string;
  rowId: string;
  rank: number;
}

/** What all impressions of one row of one page view have in common. */
export function rowText(who: string, device: string, pageView: string, { page, rowType, rowId, rank }: Place): string {
  return flat(
    `${who},"device_type":"${device}","page_view_id":"${pageView}","page":"${page}","row_type":"${rowType}","row_id":"${rowId}","row_rank":${rank},"position":`,
  );
}

export function impressionLine(
  id: string,
  time: string,
  row: string,
  position: number,
  title: string,
  rest: string,
): string {
  return flat(`{"type":"impression","event_id":"${id}","event_time":${time}${row}${position}${title}${rest}}`);
}

export function playbackLine(action: string, id: string, time: string, whoAndWhat: string, rest: string): string {
  return flat(`{"type":"playback","action":"${action}","event_id":"${id}","event_time":${time}${whoAndWhat}${rest}}`);
}

/**
 * The same text in one piece. A template makes a tree of its parts, which costs several times as much to keep and to
 * collect as the text itself: lines, and parts that are used again, are laid out at once.
 */
export function flat(text: string): string {
  // Reading a character makes the engine lay the text out, and using it keeps the reading from being optimised away.
  return text.charCodeAt(0) === 0 ? '' : text;
}

/** `title_id` and `series_id`; that a film has no series is said by absence, and now and then by null. */
export function titleText(titleId: string, seriesId: string | null, random: Random): string {
  if (seriesId !== null) return `,"title_id":"${titleId}","series_id":"${seriesId}"`;
  return random.chance(0.15) ? `,"title_id":"${titleId}","series_id":null` : `,"title_id":"${titleId}"`;
}

/** Sixty-four endings, most of them empty: what events carry besides, some of it known to the contract. */
function endings(said: readonly string[]): readonly string[] {
  return Array.from({ length: 64 }, (_, i) => said[i] ?? '');
}

const CONTEXTS = endings([
  ',"context":{"experiment":"row-order-b","network":"wifi"}',
  ',"context":{"experiment":"control","network":"cellular"}',
  `,"context":${JSON.stringify({ locale: 'pt-BR', label: 'Séries "imperdíveis" \\ novidades' })}`,
  ',"context":{}',
  ',"context":null',
]);

const UNKNOWN_FIELDS = endings([',"app_version":"9.41.0"', ',"sdk":{"name":"player","build":812,"flags":["a","b"]}']);

const QUERIES = ['café', '進撃', 'the "office"', 'drama\tkorean', 'ação', 'bridge', 'spy 007', 'ünder / over'].map(
  (query) => `,"context":${JSON.stringify({ query })}`,
);

/** One draw for both optional context and unknown fields. */
export function extras(random: Random): string {
  const u = random.u32();
  return `${CONTEXTS[u & 63]}${UNKNOWN_FIELDS[(u >>> 6) & 63]}`;
}

export function unknownFields(random: Random): string {
  return UNKNOWN_FIELDS[random.u32() >>> 26];
}

export function queryText(random: Random): string {
  return random.pick(QUERIES);
}
