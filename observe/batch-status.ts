import type { Queryable } from '../platform/postgres.ts';

/** The version of the batch view that is served. */
export interface CurrentVersion {
  version: number;
  /** Rolled back to: nothing follows it until it is released. */
  held: boolean;
  committed_at: Date;
  /** Null where every partition of its snapshot was read to its end. */
  watermark: Date | null;
}

/** A day that the batch view does not cover, or that may still change. */
export interface OpenDay {
  day: string;
  covered: boolean;
  plays: number;
  /** Null where the day is not covered. */
  open_plays: number | null;
  dirty_keys: number | null;
}

export interface BatchStatus {
  /** Null where no day was reconciled yet. */
  version: CurrentVersion | null;
  covered_days: number;
  /** The latest first. */
  open_days: OpenDay[];
  /** Days of which the latest attempt failed its audits; the latest first. */
  failed_days: FailedDay[];
}

export interface FailedDay {
  day: string;
  failed_at: Date;
  /** In words. */
  failure: string;
}

export async function readBatchStatus(database: Queryable): Promise<BatchStatus> {
  const { rows: versions } = await database.query<CurrentVersion>(
    `select version, held, committed_at, nullif(watermark, 'infinity') as watermark from whence.versions where current`,
  );
  const { rows: days } = await database.query<OpenDay>(
    'select day, covered, plays, open_plays, dirty_keys from whence.days order by day desc',
  );
  const { rows: failed } = await database.query<FailedDay>(
    'select day, failed_at, failure from whence.days where failed_at is not null order by day desc',
  );
  return {
    failed_days: failed,
    version: versions[0] ?? null,
    covered_days: days.filter(({ covered }) => covered).length,
    open_days: days.filter(({ covered, open_plays, dirty_keys }) => !covered || open_plays !== 0 || dirty_keys !== 0),
  };
}
