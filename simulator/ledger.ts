import { DAY } from './config.ts';

export const TOPICS = ['impression', 'playback'] as const;
/** The kind of topic that a line is routed to, as an index of TOPICS. */
export type Topic = 0 | 1;
export const IMPRESSION: Topic = 0;
export const PLAYBACK: Topic = 1;

export const OUTCOMES = ['applied', 'duplicate', 'late', 'excluded', 'dead_lettered'] as const;
export type Outcome = (typeof OUTCOMES)[number];

export const POISON_KINDS = [
  'not_json',
  'truncated',
  'not_object',
  'missing_field',
  'mistyped_field',
  'unknown_type',
  'missing_time',
  'bad_time',
  'future_time',
  'empty_id',
  'long_id',
  'nul_character',
  'lone_surrogate',
] as const;
export type PoisonKind = (typeof POISON_KINDS)[number];

/** What a reader must count for one kind of topic and one event day, over all partitions. */
export interface ExpectedCounts extends Record<Outcome, number> {
  topic: (typeof TOPICS)[number];
  /** null: no readable event time; a reader counts these on the day of the Kafka timestamp. */
  day: string | null;
  consumed: number;
}

/** How often each hard case was put into the stream. */
export class Injected {
  // On the way to the log, counted as delivered.
  out_of_order = 0;
  duplicates = 0;
  conflicts = 0;
  late = 0;
  late_across_midnight = 0;
  /** Never delivered: the device was not seen again. Not part of the stream. */
  lost = 0;
  poison = Object.fromEntries(POISON_KINDS.map((kind) => [kind, 0])) as Record<PoisonKind, number>;
  // In what people do, counted when it begins.
  plays = 0;
  missing_starts = 0;
  missing_stops = 0;
  short_runtimes = 0;
  trailers = 0;
  previews = 0;
  muted_autoplay = 0;
  muted_turned_watching = 0;
  autoplay_next = 0;
  binges_over_midnight = 0;
  resumed_on_another_device = 0;
  resumed_after_hours = 0;
  /** Under the same playback id. */
  paused_for_hours = 0;
  handovers = 0;
  two_screens = 0;
  offline_plays = 0;
  orphan_tokens = 0;
  launches_without_origin = 0;
  launches_by_row_only = 0;
  launches_by_token = 0;
  launches_by_impression_id = 0;
  launches: Record<string, number> = {};

  launchedFrom(surface: string): void {
    this.launches[surface] = (this.launches[surface] ?? 0) + 1;
  }
}

/** What a record needs to have for the ledger to count it. */
export interface Countable {
  readonly topic: Topic;
  /** Epoch ms; NaN where it cannot be read. */
  readonly time: number;
  readonly outcome: Outcome;
}

/** What was injected, and what a reader of the whole stream must count, however many partitions there are. */
export class Ledger {
  readonly injected = new Injected();
  records = 0;
  private readonly rows = [new Map<number, ExpectedCounts>(), new Map<number, ExpectedCounts>()] as const;

  count({ topic, time, outcome }: Countable): void {
    const day = Math.floor(time / DAY);
    let row = this.rows[topic].get(day);
    if (row === undefined) {
      row = emptyRow(topic, day);
      this.rows[topic].set(day, row);
    }
    this.records++;
    row.consumed++;
    row[outcome]++;
  }

  /** By topic, then day, the records without a day last. */
  expected(): ExpectedCounts[] {
    return this.rows.flatMap((rows) => [...rows].sort(([a], [b]) => ordered(a) - ordered(b)).map(([, row]) => row));
  }
}

function ordered(day: number): number {
  return Number.isNaN(day) ? Infinity : day;
}

function emptyRow(topic: Topic, day: number): ExpectedCounts {
  const counts = { consumed: 0, applied: 0, duplicate: 0, late: 0, excluded: 0, dead_lettered: 0 };
  return { topic: TOPICS[topic], day: Number.isNaN(day) ? null : dayText(day * DAY), ...counts };
}

/** The UTC date as Postgres writes it: a year beyond 9999 has more digits, and no sign. */
export function dayText(time: number): string {
  return new Date(time).toISOString().replace(/^\+0*|T.*$/g, '');
}
