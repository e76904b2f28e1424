import type { Queryable } from '../platform/postgres.ts';
import type { LogPosition } from './log-positions.ts';

/** What became of records: every one is counted once. */
export interface Counts {
  consumed: number;
  applied: number;
  duplicate: number;
  late: number;
  excluded: number;
  dead_lettered: number;
  /** Of the duplicates, those that differ from the event that counts. */
  conflicts: number;
}

export interface LedgerLine extends Counts {
  topic: string;
  /** Null where the partitions are summed up. */
  partition: number | null;
  /** UTC day of the events, YYYY-MM-DD. */
  day: string;
}

const COUNTS = ['consumed', 'applied', 'duplicate', 'late', 'excluded', 'dead_lettered', 'conflicts'] as const;

/** The ledger by topic and day, or by topic, partition and day. */
export async function readLedger(database: Queryable, byPartition: boolean): Promise<LedgerLine[]> {
  const sums = COUNTS.map((name) => `sum(${name})::bigint as ${name}`).join(', ');
  const partition = byPartition ? 'partition' : 'null::integer';
  const { rows } = await database.query<LedgerLine>(
    `select topic, ${partition} as partition, day, ${sums} from whence.ledger
     group by topic, ${byPartition ? 'partition, ' : ''}day order by topic collate "C", 2, day`,
  );
  return rows;
}

export function totalOf(lines: readonly Counts[]): Counts {
  const sum = (name: keyof Counts) => lines.reduce((total, line) => total + line[name], 0);
  return Object.fromEntries(COUNTS.map((name) => [name, sum(name)])) as unknown as Counts;
}

/**
 * Whether the records counted are the records read, of one partition:
 * - `exact`: as many as there are offsets
 * - `gaps`: fewer; the other offsets hold no record (transaction markers, compaction), or data loss was accepted
 * - `unknown`: the log no longer begins at 0, or Kafka could not be asked where it begins
 * - `wrong`: more than there can be, or a line whose outcomes do not add up
 */
export type Balance = 'exact' | 'gaps' | 'unknown' | 'wrong';

export function balanceOf({ committed, consumed, log_begins: begins }: LogPosition): Balance {
  if (consumed === committed) return 'exact';
  if (consumed > committed) return 'wrong';
  return begins === 0 ? 'gaps' : 'unknown';
}

export function addsUp({ consumed, applied, duplicate, late, excluded, dead_lettered }: Counts): boolean {
  return consumed === applied + duplicate + late + excluded + dead_lettered;
}
