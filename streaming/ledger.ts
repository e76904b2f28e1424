import type { Outcome } from '../attribution/facts/fact-store.ts';
import { DAY } from '../attribution/time.ts';

/** What became of the records of one topic and event day. */
export interface LedgerRow {
  topic: string;
  /** Days since 1970-01-01, UTC. */
  epoch_day: number;
  consumed: number;
  applied: number;
  duplicate: number;
  late: number;
  excluded: number;
  dead_lettered: number;
  conflicts: number;
}

/** Counts records between two commits. Every record is counted once, so the ledger balances by construction. */
export class LedgerCounts {
  #rows = new Map<string, Map<number, LedgerRow>>();
  /** The row that was counted in last: most records are of its topic and day. */
  #last: LedgerRow | null = null;

  count(topic: string, eventTime: number, outcome: Outcome | 'dead_lettered', conflict = false): void {
    const day = Math.floor(eventTime / DAY);
    const last = this.#last;
    const row = last !== null && last.epoch_day === day && last.topic === topic ? last : this.#row(topic, day);
    this.#last = row;
    row.consumed++;
    row[outcome]++;
    if (conflict) row.conflicts++;
  }

  /** The counts since the last call. */
  take(): LedgerRow[] {
    const rows = [...this.#rows.values()].flatMap((days) => [...days.values()]);
    this.#rows = new Map();
    this.#last = null;
    return rows;
  }

  #row(topic: string, epochDay: number): LedgerRow {
    let days = this.#rows.get(topic);
    if (days === undefined) this.#rows.set(topic, (days = new Map<number, LedgerRow>()));
    let row = days.get(epochDay);
    if (row === undefined) {
      row = {
        topic,
        epoch_day: epochDay,
        consumed: 0,
        applied: 0,
        duplicate: 0,
        late: 0,
        excluded: 0,
        dead_lettered: 0,
        conflicts: 0,
      };
      days.set(epochDay, row);
    }
    return row;
  }
}
