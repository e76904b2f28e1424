/** A plain log of some evenings, in which every label and every reason occurs. */

import type { Event } from '../../../attribution/events.ts';
import { impression, origin, playback } from '../../core/samples.ts';
import type { LogRecord } from '../../oracle/oracle.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
export const FIRST_DAY = '2025-11-24';
export const LAST_DAY = '2025-11-26';

/** Without the last day's end: what is shown there has not matured. */
export function evenings(profiles: number): LogRecord[] {
  return Array.from({ length: profiles }, (_, i) => ofProfile(i))
    .flat()
    .sort((a, b) => a.event_time - b.event_time)
    .map((event, offset) => ({ topic: 'events', partition: 0, offset, event }));
}

const DEVICES = ['tv', 'mobile', 'tablet', 'téléviseur'];
const ROWS = ['trending', 'top_10', 'because_you_watched', 'continue_watching'];

function ofProfile(i: number): Event[] {
  const profile_id = `p${i}`;
  const device_type = DEVICES[i % DEVICES.length];
  const profile_type = i % 3 === 0 ? 'kids' : null;
  const evening = Date.parse(`${FIRST_DAY}T18:00:00Z`) + i * MINUTE;
  const seen = (work: string, id: string, at: number, row = 0): Event =>
    impression({
      profile_id,
      device_type,
      profile_type,
      title_id: work,
      series_id: null,
      event_id: id,
      event_time: at,
      row_type: ROWS[row],
      row_rank: i % 5,
      position: i % 7,
    });
  const played = (work: string, id: string, at: number, minutes: number, from: string | null = null): Event[] => {
    const common = { profile_id, device_type, title_id: work, series_id: null, playback_id: id };
    const launch = from === null ? null : origin({ surface: from });
    return [
      playback({ ...common, event_id: `${id}-start`, event_time: at, action: 'start', origin: launch }),
      playback({ ...common, event_id: `${id}-stop`, event_time: at + minutes * MINUTE, action: 'stop' }),
    ];
  };
  const stories: Event[][] = [
    // Seen twice and played from the second; the next day it is seen and played again; then only seen.
    [seen('w1', 'a1', evening), seen('w1', 'a2', evening + MINUTE, 1), ...played('w1', 'a', evening + 2 * MINUTE, 5)],
    [seen('w1', 'a3', evening + DAY, 3), ...played('w1', 'b', evening + DAY + MINUTE, 4)],
    [seen('w1', 'a4', evening + DAY + 30 * MINUTE, 2)],
    // Shown where nothing is discovered, and searched for.
    [seen('w2', 'c1', evening, 3), ...played('w2', 'c', evening + 5 * MINUTE, 5, 'search')],
    // Tried for a moment.
    [seen('w3', 'd1', evening), ...played('w3', 'd', evening + MINUTE, 0.5)],
    // Never played: on the first evening, and on the last.
    [seen('w4', 'e1', evening + 10 * MINUTE), seen('w5', 'e2', evening + 2 * DAY + 180 * MINUTE, 1)],
  ];
  return stories.flat();
}
