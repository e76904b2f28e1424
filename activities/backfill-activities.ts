import { Context } from '@temporalio/activity';
import type { AttemptSummary, BatchDeps, CommitSummary } from '../batch/advance.ts';
import { beginAttempt } from '../batch/begin-attempt.ts';
import { isFreshDayAtWork } from '../batch/backfill/fresh-day.ts';
import { type BackfillEnd, type DayEnd, noteDay, noteDecision, noteEnd } from '../batch/backfill/note.ts';
import { type BackfillPlan, type BackfillRequest, planBackfill } from '../batch/backfill/plan.ts';
import { checkPreview, previewAttempt, type PreviewSummary } from '../batch/backfill/preview.ts';
import { readWorkLeft, type WorkLeft } from '../batch/backfill/work-left.ts';
import { commitAttempt, type CommitOptions } from '../batch/commit-attempt.ts';
import { beating, noting } from './beating.ts';
import { findActor, findUpdater } from './find-actor.ts';

export type { BackfillEstimate, BackfillPlan, BackfillRequest } from '../batch/backfill/plan.ts';
export type { PreviewChange, PreviewSummary } from '../batch/backfill/preview.ts';

/** The activities of backfills; as `createActivities`. */
export function createBackfillActivities(deps: BatchDeps, onCommitStep: CommitOptions['onStep']) {
  return {
    async planBackfill(request: BackfillRequest): Promise<BackfillPlan> {
      const { workflowId = '', runId = '' } = Context.current().info.workflowExecution ?? {};
      return beating(async () => planBackfill(deps, request, { workflowId, runId, actor: await findActor() }));
    },

    /** An attempt whose days are committed one by one, and its units. */
    async beginDays(asked: {
      days: string[];
      cause: string;
      owner: string;
    }): Promise<AttemptSummary & { work: WorkLeft }> {
      return beating(async () => {
        const attempt = await beginAttempt(deps, { ...asked, actor: await findActor(), byDay: true });
        return { ...attempt, work: await readWorkLeft(deps, attempt.attempt) };
      });
    },

    async isFreshDayAtWork(): Promise<boolean> {
      return beating(() => isFreshDayAtWork(deps));
    },

    async commitDay(asked: { backfill: number; attempt: number; day: string; cause: string }): Promise<CommitSummary> {
      const { backfill, attempt, day, cause } = asked;
      return beating(async (_, at) => {
        const committed = await commitAttempt(deps, attempt, { day, cause, onStep: noting(at, onCommitStep) });
        await noteDay(deps, backfill, { day, committed });
        return committed;
      });
    },

    async noteFailedDay({ backfill, ...end }: { backfill: number } & DayEnd): Promise<void> {
      return beating(() => noteDay(deps, backfill, end));
    },

    async previewDays({ backfill, attempt }: { backfill: number; attempt: number }): Promise<PreviewSummary> {
      return beating(() => previewAttempt(deps, backfill, attempt));
    },

    /** Fails with CommitLostError where another version is current than the one that was previewed. */
    async checkPreview({ attempt }: { attempt: number }): Promise<void> {
      return beating(async () => void (await checkPreview(deps.pool, attempt)));
    },

    /** Keeps who approved or rejected. @returns who */
    async noteDecision(asked: {
      backfill: number;
      decision: 'approved_by' | 'rejected_by';
      updateId: string;
      actor: string | null;
    }): Promise<string> {
      return beating(async () => {
        const actor = asked.actor ?? (await findUpdater(asked.updateId));
        await noteDecision(deps, asked.backfill, asked.decision, actor);
        return actor;
      });
    },

    async noteBackfillEnd({ backfill, status }: { backfill: number; status: BackfillEnd }): Promise<void> {
      return beating(() => noteEnd(deps, backfill, status));
    },
  };
}
