import { Context } from '@temporalio/activity';
import { WorkflowNotFoundError } from '@temporalio/common';
import type { BatchDeps } from '../batch/advance.ts';
import { compactArchive, type CompactStep, type CompactSummary } from '../batch/retention/compact.ts';
import { prune, type PruneSummary } from '../batch/retention/prune.ts';
import { DEFAULT_RETENTION, type PruneStep } from '../batch/retention/retention.ts';
import { beating, noting } from './beating.ts';

export type { CompactSummary, PruneSummary };

/** A crash or a fault can be put between any two steps, by tests. */
export interface RetentionSteps {
  prune?: (step: PruneStep) => void | Promise<void>;
  compact?: (step: CompactStep) => void | Promise<void>;
}

/** The activities of retention; as `createActivities`. */
export function createRetentionActivities(deps: BatchDeps, steps: RetentionSteps) {
  return {
    async prune({ dryRun }: { dryRun: boolean }): Promise<PruneSummary> {
      const { retention = DEFAULT_RETENTION } = deps;
      return beating((_, at) => prune(deps, { retention, isRunning, dryRun, onStep: noting(at, steps.prune) }));
    },

    async compactArchive(): Promise<CompactSummary> {
      return beating((signal, at) => compactArchive(deps, { signal, onStep: noting(at, steps.compact) }));
    },
  };
}

/** Owners of attempts and builds are the ids of workflows. */
async function isRunning(workflowId: string): Promise<boolean> {
  try {
    const { status } = await Context.current().client.workflow.getHandle(workflowId).describe();
    return status.name === 'RUNNING';
  } catch (error) {
    // Its history is past Temporal's own retention.
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}
