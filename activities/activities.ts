import { Context } from '@temporalio/activity';
import { abandonAttempt } from '../batch/abandon-attempt.ts';
import type { AttemptSummary, BatchDeps, CommitSummary, CorrectionsSummary, UnitSummary } from '../batch/advance.ts';
import { beginAttempt } from '../batch/begin-attempt.ts';
import { commitAttempt, type CommitOptions } from '../batch/commit-attempt.ts';
import { computeUnit, type UnitOptions } from '../batch/compute-unit.ts';
import { recordCorrections } from '../batch/record-corrections.ts';
import { findHold, type Hold } from '../batch/hold.ts';
import { release, type ReleaseSummary, rollback, type RollbackSummary } from '../batch/rollback.ts';
import { readSnapshot } from '../batch/snapshot.ts';
import { measureUnit } from '../batch/backfill/measure-unit.ts';
import { hasSearchAttributes } from '../platform/search-attributes.ts';
import { createBackfillActivities } from './backfill-activities.ts';
import { beating, noting } from './beating.ts';
import { createDatasetActivities, type DatasetSteps } from './dataset-activities.ts';
import { createRetentionActivities, type RetentionSteps } from './retention-activities.ts';
import { findActor } from './find-actor.ts';

export type { ReleaseSummary, RollbackSummary };
export type Activities = ReturnType<typeof createActivities>;

/** What came of making the next version of the batch view. */
export interface AdvanceOutcome extends CommitSummary, CorrectionsSummary {
  days: string[];
  /** Archived records of the days. */
  records: number;
}

/** A crash or a fault can be put between any two steps, by tests. */
export interface ActivitySteps extends DatasetSteps, RetentionSteps {
  unit?: UnitOptions['onStep'];
  commit?: CommitOptions['onStep'];
}

/**
 * The activities of the batch layer, over what they work with. Each may run twice, or be cut off anywhere: what counts is in
 * Postgres, and changes in one transaction.
 */
export function createActivities(deps: BatchDeps, steps: ActivitySteps = {}) {
  return {
    ...createDatasetActivities(deps, steps),
    ...createBackfillActivities(deps, steps.commit),
    ...createRetentionActivities(deps, steps),

    hasSearchAttributes(): Promise<boolean> {
      const { client, info } = Context.current();
      return hasSearchAttributes(client.connection, info.namespace);
    },

    async beginAttempt(asked: { days: string[]; cause: string; owner: string }): Promise<AttemptSummary> {
      return beating(async () => beginAttempt(deps, { ...asked, actor: await findActor() }));
    },

    async computeUnit({ attempt, unit }: { attempt: number; unit: number }): Promise<UnitSummary> {
      return beating(async (signal, at) => {
        const begun = performance.now();
        const summary = await computeUnit(deps, attempt, unit, { signal, onStep: noting(at, steps.unit) });
        await measureUnit(deps, attempt, summary, performance.now() - begun);
        return summary;
      });
    },

    async commitAttempt({ attempt }: { attempt: number }): Promise<CommitSummary> {
      return beating((_, at) =>
        commitAttempt(deps, attempt, {
          onStep: noting(at, steps.commit),
        }),
      );
    },

    async abandonAttempt({ attempt }: { attempt: number }): Promise<void> {
      return beating(() => abandonAttempt(deps, attempt));
    },

    /** Whether all partitions of the archive are beyond a time (ISO-8601): complete, or their events later. */
    async hasArchivePassed({ until }: { until: string }): Promise<boolean> {
      return beating(async () => (await readSnapshot(deps.pool)).watermark > Date.parse(until));
    },

    async rollback({ version }: { version: number }): Promise<RollbackSummary> {
      return beating(async () => rollback(deps, version, await findActor()));
    },

    async release(): Promise<ReleaseSummary> {
      return beating(async () => release(deps, await findActor()));
    },

    /** Who holds the current version; null where nothing is held. */
    async findHold(): Promise<Hold | null> {
      return beating(() => findHold(deps.pool));
    },

    /** Of all versions that were not compared yet. */
    async recordCorrections(): Promise<CorrectionsSummary> {
      return beating(() => recordCorrections(deps));
    },
  };
}
