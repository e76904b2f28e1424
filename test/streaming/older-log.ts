import { ACTIONS } from '../../attribution/events.ts';
import type { RecordReader } from '../../platform/record-reader.ts';
import { recordOfValue } from '../records.ts';
import { BASE, impression, origin, playback } from '../core/samples.ts';

/** Of the log that the checkpoints of older versions are of. */
export const TOPICS = ['impressions', 'playback'];
/** So many of its records are in them. */
export const CUT_AT = 500;
const STEP_MS = 40_000;

const uuid = (i: number) => `0199a000-0000-7000-8000-${String(i).padStart(12, '0')}`;
/** Row ids, origins and ids of every form that a record has another encoding of. */
const ROWS = ['top_picks:1', 'genre:1365', uuid(7), 'Für dich: Grüße', 'r'.repeat(300)];
const ORIGINS = [
  null,
  origin({ token: null, impression_id: null }),
  origin({ row_type: null, row_id: null, row_rank: null, position: null, token: 't-12', impression_id: null }),
  origin({ row_id: ROWS[3], impression_id: uuid(12) }),
  origin({ surface: 'search', row_id: null, row_rank: -1 }),
];

/** A log of two topics in an order in which it can be read: copies, late events and events of both topics are in it. */
export function olderLog(): { topic: number; record: RecordReader }[] {
  const next = [0, 0];
  return Array.from({ length: 700 }, (_, i) => {
    const { topic, event } = eventOf(i);
    return { topic, record: recordOfValue(Buffer.from(JSON.stringify(event)), next[topic]++) };
  });
}

function eventOf(i: number): { topic: number; event: object } {
  // A copy of an earlier record, and one that says something else.
  if (i % 37 === 36) return eventOf(i - 25);
  if (i % 53 === 52) return { ...eventOf(i - 31), event: { ...eventOf(i - 31).event, country: 'CA' } };
  const late = i % 41 === 40 ? 3_600_000 : 0;
  const common = {
    event_id: i % 3 === 0 ? `event ${i}` : uuid(i),
    event_time: BASE + i * STEP_MS - late,
    profile_id: i % 2 === 0 ? `p${i % 14}` : uuid(1000 + (i % 7)),
    title_id: `title ${i % 11}`,
    series_id: i % 11 < 6 ? `series ${i % 6}` : null,
  };
  const seen = {
    row_type: ['top_picks', 'my_list', 'genre'][i % 3],
    page: i % 5 === 0 ? 'search' : 'home',
    row_id: ROWS[i % 5],
    row_rank: (i % 9) - 1,
    position: i * 7,
    token: i % 4 === 0 ? null : `t-${i}`,
  };
  // The same event in both topics: it counts in the first.
  if (i % 29 === 28) return { topic: 0, event: { ...eventOf(i - 1).event, country: 'FR' } };
  if (i % 29 === 27) return { topic: 1, event: impression({ ...common, ...seen }) };
  if (i % 3 > 0) return { topic: 0, event: impression({ ...common, ...seen }) };
  const said = {
    kind: i % 6 === 0 ? ('main' as const) : null,
    muted_autoplay: null,
    runtime_ms: i % 12 === 0 ? 5_400_000.5 : null,
  };
  const played = { action: ACTIONS[i % ACTIONS.length], playback_id: `pb ${i % 14}`, origin: ORIGINS[i % 5] };
  return { topic: 1, event: playback({ ...common, ...said, ...played }) };
}
