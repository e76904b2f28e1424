/** Broken records. Each has one fault, so that there is one right reason to dead-letter it. */
import { SECOND } from './config.ts';
import { IMPRESSION, PLAYBACK, POISON_KINDS, type PoisonKind, type Topic } from './ledger.ts';
import type { Random } from './random.ts';

type Fields = Record<string, unknown>;

export interface Poison {
  readonly kind: PoisonKind;
  readonly line: string;
  readonly topic: Topic;
  /** The event time where a reader can make it out, else NaN. */
  readonly time: number;
}

/** The year 2100. */
const FAR_FUTURE = 4_102_444_800_000;
const NOT_JSON = [
  '<html><body><h1>502 Bad Gateway</h1></body></html>',
  "{'type':'impression','event_id':'a1'}",
  '{"type":"playback","action":"start",}',
  'undefined',
  'NaN',
];
const NOT_OBJECTS = ['42', 'null', 'true', '"impression"', '[]', '[{"type":"playback","action":"start"}]'];
const IDS = {
  impression: ['event_id', 'profile_id', 'title_id', 'page_view_id'],
  playback: ['event_id', 'playback_id'],
};
const REQUIRED = {
  impression: ['country', 'device_type', 'page', 'row_type', 'row_id', 'row_rank', 'position', 'title_id', 'type'],
  playback: ['action', 'event_id', 'profile_id', 'country', 'device_type', 'playback_id', 'title_id', 'type'],
};
const MISTYPED: Record<keyof typeof REQUIRED, readonly (readonly [field: string, value: unknown])[]> = {
  impression: [
    ['row_rank', '3'],
    ['position', 1.5],
    ['title_id', 70143836],
    ['token', 7],
    ['country', null],
    ['profile_type', 'adult'],
    ['series_id', ['70143836']],
  ],
  playback: [
    ['action', 'seek'],
    ['kind', 'movie'],
    ['muted_autoplay', 'yes'],
    ['position_ms', '12000'],
    ['origin', 'home'],
    ['origin', { row_type: 'top_10' }],
    ['playback_id', 4],
  ],
};

/** A broken sibling of a sound record: of its type and time, under an id of its own. */
export function makePoison(random: Random, line: string, time: number): Poison {
  const kind = random.pick(POISON_KINDS);
  const fields = JSON.parse(line) as Fields;
  fields['event_id'] = random.uuid();
  const type = fields['type'] === 'playback' ? 'playback' : 'impression';
  const own = type === 'playback' ? PLAYBACK : IMPRESSION;
  // A line whose type cannot be made out goes to the impression topic.
  const unrouted = (text: string, readableTime = NaN): Poison => ({
    kind,
    line: text,
    topic: IMPRESSION,
    time: readableTime,
  });
  const routed = (field: string, value: unknown, readableTime = time): Poison => ({
    kind,
    line: JSON.stringify({ ...fields, [field]: value }),
    topic: own,
    time: readableTime,
  });
  switch (kind) {
    case 'not_json':
      return unrouted(random.pick(NOT_JSON));
    case 'truncated':
      return unrouted(line.slice(0, Math.floor(line.length * (0.2 + 0.7 * random.float()))));
    case 'not_object':
      return unrouted(random.pick(NOT_OBJECTS));
    case 'unknown_type':
      return unrouted(JSON.stringify({ ...fields, type: random.pick(['rating', 'Impression', 'play', 3]) }), time);
    case 'missing_field': {
      const field = random.pick(REQUIRED[type]);
      const poison = routed(field, undefined);
      return field === 'type' ? { ...poison, topic: IMPRESSION } : poison;
    }
    case 'mistyped_field':
      return routed(...random.pick(MISTYPED[type]));
    case 'missing_time':
      return routed('event_time', random.chance(0.5) ? undefined : null, NaN);
    case 'bad_time':
      return routed('event_time', badTime(random, time), NaN);
    case 'future_time': {
      // A clock of its own, or microseconds where milliseconds were meant. Its day can be read all the same.
      const future = Math.max(FAR_FUTURE + random.below(1e9), random.chance(0.5) ? time * 1000 : 0);
      return routed('event_time', future, future);
    }
    case 'empty_id':
      return routed(random.pick(IDS[type]), '');
    case 'long_id':
      return routed(random.pick(IDS[type]), 'x'.repeat(257 + random.below(200)));
    case 'nul_character':
      return routed('title_id', `7014\u00003836`);
    case 'lone_surrogate':
      return routed('device_type', 'tv\ud83d');
  }
}

function badTime(random: Random, time: number): unknown {
  const iso = new Date(time - (time % SECOND)).toISOString();
  return random.pick(['yesterday', '', true, '2025-13-45T99:00:00Z', iso.slice(0, 19), iso.slice(0, 10)]);
}
