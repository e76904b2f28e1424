import type { Policy } from '../attribution/policy.ts';
import type { Logger } from '../platform/log.ts';
import type { Pool } from '../platform/postgres.ts';
import type { Storage } from '../platform/storage.ts';
import type { Retention } from './retention/retention.ts';

/** What the batch layer works with. */
export interface BatchDeps {
  pool: Pool;
  /** Holds the archive, and what one step leaves for the next. */
  storage: Storage;
  /** Applies to the days asked for; what is only recomputed keeps the policy of its day. */
  policy: Policy;
  log: Logger;
  /** A folder of this machine, for what does not fit in memory. */
  scratch: string;
  /** What DuckDB may take, such as "2GB". */
  memoryLimit?: string;
  /** Up to how many keys, or events, are looked for by name; `FEW` where it is not said. */
  few?: number;
  /** For how long things are kept; `DEFAULT_RETENTION` where it is not said. */
  retention?: Retention;
}

export interface AdvanceRequest {
  /** The days to cover, or to compute again: UTC, YYYY-MM-DD. */
  days: readonly string[];
  /** Why, for the version's row: "reconcile 2026-11-23". */
  cause: string;
  /** Who asked. */
  actor: string;
  /** Who works on it (a workflow's id): an owner has one open attempt, and a later one replaces it. */
  owner: string;
  /** Whether its days are committed one by one, in their order, each as a version of its own. */
  byDay?: boolean;
}

/** An attempt to make the next version. */
export interface AttemptSummary {
  attempt: number;
  /** The version that it starts from; 0 where there is none. */
  parent: number;
  /** How many units of work it is cut into: 0 to `units` - 1, in any order, on any machine. */
  units: number;
  /** Keys to be computed again in covered days, since facts of theirs were archived. */
  dirtyKeys: number;
  /** Archived records of the days asked for. */
  records: number;
}

export interface UnitSummary {
  unit: number;
  plays: number;
  /** Counted playback events of the unit's part of the days. */
  events: number;
}

export interface CommitSummary {
  version: number;
  /** Plays of the days asked for. */
  plays: number;
  playsChanged: number;
  daysChanged: number;
  dirtyKeys: number;
  /** ISO-8601, or "complete". */
  watermark: string | null;
}

export interface CorrectionsSummary {
  /** Null where the speed layer has not yet read what the archive holds: then nothing was compared. */
  corrections: number | null;
  byCause: Record<string, number>;
}
