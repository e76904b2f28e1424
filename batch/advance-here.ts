import type { AdvanceRequest, BatchDeps, CommitSummary } from './advance.ts';
import { beginAttempt } from './begin-attempt.ts';
import { commitAttempt, type CommitOptions } from './commit-attempt.ts';
import { computeUnit } from './compute-unit.ts';
import { CommitLostError } from './errors.ts';

/** Makes the next version in this process, one unit after the other; begins again where another commit came first. */
export async function advance(
  deps: BatchDeps,
  request: AdvanceRequest,
  options: CommitOptions = {},
): Promise<CommitSummary> {
  for (;;) {
    const { attempt, units } = await beginAttempt(deps, request);
    for (let unit = 0; unit < units; unit++) await computeUnit(deps, attempt, unit);
    try {
      return await commitAttempt(deps, attempt, options);
    } catch (error) {
      if (!(error instanceof CommitLostError)) throw error;
    }
  }
}
