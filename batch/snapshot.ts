import { type ArchivePosition, type ManifestFile, readFiles, readPositions, watermarkOf } from '../archive/manifest.ts';
import type { Queryable } from '../platform/postgres.ts';

/** Where the archive stood in a topic-partition, as it is stored. */
export interface StoredPosition {
  topic: string;
  partition: number;
  log: number;
  /** The horizon: the next offset after the last one archived. */
  next: number;
}

/** What the archive holds at one moment. */
export interface Snapshot {
  positions: StoredPosition[];
  /** Epoch milliseconds: the smallest watermark of a partition; Infinity where all are complete, -Infinity where nothing is known. */
  watermark: number;
}

export async function readSnapshot(database: Queryable): Promise<Snapshot> {
  const positions = await readPositions(database);
  return {
    positions: positions.map(({ topic, partition, horizon }) => ({
      topic,
      partition,
      log: horizon.log,
      next: horizon.offset,
    })),
    watermark: positions.length === 0 ? -Infinity : Math.min(...positions.map(watermarkOf)),
  };
}

/** The files with rows that a snapshot holds, or of these those that another does not. */
export async function filesOf(
  database: Queryable,
  positions: readonly StoredPosition[],
  beyond?: readonly StoredPosition[],
): Promise<ManifestFile[]> {
  const files = await readFiles(database, {
    until: positions.map(asArchivePosition),
    ...(beyond && { since: beyond.map(asArchivePosition) }),
  });
  return files.filter((file) => file.rows > 0);
}

function asArchivePosition({ topic, partition, log, next }: StoredPosition): ArchivePosition {
  return { topic, partition, horizon: { log, offset: next }, greatestEventTime: null, quietForMs: null };
}

/** A watermark as Postgres has it. */
export function watermarkText(watermark: number): string {
  if (watermark === Infinity) return 'infinity';
  return watermark === -Infinity ? '-infinity' : new Date(watermark).toISOString();
}
