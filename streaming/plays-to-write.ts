import type { Evidence } from '../attribution/derive.ts';
import { PLAY_ROW_COLUMNS, type PlayRow } from '../attribution/play-row.ts';
import type { Policy } from '../attribution/policy.ts';
import { CopyText } from '../platform/copy-rows.ts';

/** A row of `whence.speed_plays`. */
export interface SpeedPlayRow extends PlayRow {
  task: number;
  /** The topics that its events stand in, and the offset of the last in each: what tells whether batch has them all. */
  event_topics: string[];
  event_offsets: number[];
}

export const SPEED_PLAY_COLUMNS: readonly (keyof SpeedPlayRow)[] = [
  ...PLAY_ROW_COLUMNS,
  'task',
  'event_topics',
  'event_offsets',
];

/** From so many plays on, a table made for them and COPY cost less than JSON: whoever catches up writes thousands at once. */
const WORTH_COPYING = 500;

/**
 * The plays of a commit. Few are rows. Many are written down for COPY as they come, as bytes: thousands of rows, each of some fifty
 * values, that wait for their turn are what garbage collection would take longest for.
 */
export class PlaysToWrite {
  readonly ids: string[] = [];
  /** None where they are copied. */
  rows: SpeedPlayRow[] = [];
  /** All of them, in the order of `SPEED_PLAY_COLUMNS`; null where they are few. */
  copy: CopyText | null = null;
  /** How many plays there are of each evidence of their source. */
  readonly evidence = new Map<Evidence, number>();
  /** Row types that the policy does not know, by how often they launched or touched a play. */
  readonly unknownRowTypes = new Map<string, number>();

  add(row: SpeedPlayRow, policy: Pick<Policy, 'classOf'>): void {
    this.ids.push(row.play_id);
    count(this.evidence, row.sop_evidence);
    this.#lookForUnknown(row.sop_row_type, row.sop_surface, policy);
    const { path_row_type: rowTypes, path_surface: surfaces } = row;
    for (let i = 0; i < rowTypes.length; i++) this.#lookForUnknown(rowTypes[i], surfaces[i], policy);
    if (this.copy !== null) {
      this.copy.add(valuesOf(row));
      return;
    }
    this.rows.push(row);
    if (this.rows.length < WORTH_COPYING) return;
    this.copy = new CopyText();
    for (const waiting of this.rows) this.copy.add(valuesOf(waiting));
    this.rows = [];
  }

  #lookForUnknown(rowType: string | null, surface: string, policy: Pick<Policy, 'classOf'>): void {
    if (rowType !== null && !policy.classOf(rowType, surface).known) count(this.unknownRowTypes, rowType);
  }
}

function valuesOf(row: SpeedPlayRow) {
  return SPEED_PLAY_COLUMNS.map((name) => row[name]);
}

function count<Name>(counts: Map<Name, number>, name: Name): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
