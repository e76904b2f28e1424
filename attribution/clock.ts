import type { Rules } from './policy.ts';

/**
 * The clock of one topic-partition: the greatest event time of its valid records so far, of any kind and outcome.
 * Whether an event is late depends on this alone, so that live reading, catching up and replay agree.
 */
export class LogClock {
  /** Epoch milliseconds; -Infinity before the first valid record. */
  now = -Infinity;

  isLate(eventTime: number, rules: Pick<Rules, 'allowedLateness'>): boolean {
    return eventTime + rules.allowedLateness < this.now;
  }

  /** A valid record was read. */
  advance(eventTime: number): void {
    if (eventTime > this.now) this.now = eventTime;
  }
}
