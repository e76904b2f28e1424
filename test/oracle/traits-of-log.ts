/** Traits of a world that its log shows. */

import type { Event } from '../../attribution/events.ts';
import { byPlace, identity } from './order.ts';
import { decide, type LogRecord } from './oracle.ts';
import { holding, type Trait } from './traits.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

export function traitsOfLog(log: readonly LogRecord[]): Trait[] {
  const decided = decide(log);
  const found = decided.flatMap(({ record, decision }) => {
    const { event } = record;
    const earlier = decided.filter(({ record: other }) => inSameLog(other, record) && byPlace(other, record) < 0);
    const clock = Math.max(...earlier.map(({ record }) => record.event.event_time));
    const copies = earlier.filter(({ record }) => identity(record.event) === identity(event));
    const firstCopy = copies[0]?.record;
    const clockThen = Math.max(
      ...earlier
        .filter(({ record }) => firstCopy && byPlace(record, firstCopy) <= 0)
        .map(({ record }) => record.event.event_time),
    );
    return holding({
      'a copy forgotten after 24 h and 1 ms':
        decision !== 'duplicate' && copies.length === 1 && clock - clockThen === DAY + 1,
      'speed duplicate': decision === 'duplicate',
      'speed late': decision === 'late',
      'speed excluded': decision === 'excluded',
      'late by a millisecond': decision === 'late' && event.event_time + 10 * MINUTE + 1 === clock,
      'on time by nothing': event.event_time + 10 * MINUTE === clock,
      'a copy no longer recognised': copies.length > 0 && decision !== 'duplicate',
      'a copy recognised after 24 h': decision === 'duplicate' && clock - clockThen === DAY,
      'a duplicate of a late event': decision === 'duplicate' && copies.some(({ decision }) => decision === 'late'),
    });
  });
  const others = (event: Event) => log.filter((other) => other.event !== event);
  return [
    ...found,
    ...log.flatMap(({ topic, event }) =>
      holding({
        'a copy in another topic': others(event).some(
          (other) => identity(other.event) === identity(event) && other.topic !== topic,
        ),
        'a copy with another payload': others(event).some(
          (other) => identity(other.event) === identity(event) && JSON.stringify(other.event) !== JSON.stringify(event),
        ),
        'a tie of events whose ids UTF-8 would order otherwise': others(event).some(({ event: other }) =>
          isTieOfOtherOrder(event, other),
        ),
        'one id, two types': others(event).some(
          ({ event: other }) =>
            other.event_id === event.event_id && other.profile_id === event.profile_id && other.type !== event.type,
        ),
        'one id, two profiles': others(event).some(
          ({ event: other }) =>
            other.event_id === event.event_id && other.profile_id !== event.profile_id && other.type === event.type,
        ),
      }),
    ),
  ];
}

/** Equal in all that goes before the id, and ordered one way by code unit, the other way by code point. */
function isTieOfOtherOrder(a: Event, b: Event): boolean {
  if (beforeTheId(a) !== beforeTheId(b)) return false;
  return a.event_id < b.event_id && Buffer.compare(Buffer.from(a.event_id), Buffer.from(b.event_id)) > 0;
}

function beforeTheId(event: Event): string {
  const { profile_id, series_id, title_id, type, event_time } = event;
  const rest = type === 'impression' ? [event.row_rank, event.position] : [event.action, event.playback_id];
  return JSON.stringify([profile_id, series_id ?? title_id, type, event_time, ...rest]);
}

function inSameLog(a: LogRecord, b: LogRecord): boolean {
  return a.topic === b.topic && a.partition === b.partition;
}
