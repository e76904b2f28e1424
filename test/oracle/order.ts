/** The orders that the rules name. */

import type { Action, Event, Impression, Playback } from '../../attribution/events.ts';
import type { LogRecord } from './types.ts';

/** Strings compare by code unit, which is what `<` does in this language. */
export function byCodeUnit(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** An event is identified by its type, profile and id. */
export function identity(event: Event): string {
  return JSON.stringify([event.type, event.profile_id, event.event_id]);
}

/** Places in the log: by topic, partition, offset. */
export function byPlace(a: LogRecord, b: LogRecord): number {
  return byCodeUnit(a.topic, b.topic) || a.partition - b.partition || a.offset - b.offset;
}

const ACTION_ORDER: readonly Action[] = ['start', 'resume', 'heartbeat', 'pause', 'stop'];

/** Earliest, last, earlier among playback events: by time, then start < resume < heartbeat < pause < stop, then id. */
export function byPlaybackOrder(a: Playback, b: Playback): number {
  return (
    a.event_time - b.event_time ||
    ACTION_ORDER.indexOf(a.action) - ACTION_ORDER.indexOf(b.action) ||
    byCodeUnit(a.event_id, b.event_id)
  );
}

/**
 * Ties: the winner has the latest time, then the lowest row_rank, the lowest position, the smallest impression id.
 * In this order the winner stands last.
 */
export function byTieRule(a: Impression, b: Impression): number {
  return (
    a.event_time - b.event_time ||
    b.row_rank - a.row_rank ||
    b.position - a.position ||
    byCodeUnit(b.event_id, a.event_id)
  );
}

/** The UTC date of a time. */
export function utcDay(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

/** The items that have the same label, each group in the order given. */
export function groups<Item>(items: readonly Item[], label: (item: Item) => string): Item[][] {
  const found = new Map<string, Item[]>();
  for (const item of items) {
    const group = found.get(label(item));
    if (group === undefined) found.set(label(item), [item]);
    else group.push(item);
  }
  return [...found.values()];
}
