import { ActivityFailure, ApplicationFailure, rootCause } from '@temporalio/workflow';

/** The type of what failed in an activity; null where it was no failure of the activity's own. */
export function failureType(error: unknown): string | null {
  const cause = error instanceof ActivityFailure ? error.cause : null;
  return cause instanceof ApplicationFailure ? (cause.type ?? null) : null;
}

/** Another commit came first, or another run of this workflow took over: nothing is wrong with what was asked. */
export function mayBeginAgain(error: unknown): boolean {
  return ['CommitLostError', 'AttemptGoneError'].includes(failureType(error) ?? '');
}

/** In words: the innermost failure, since those around it say nothing. */
export function reasonOf(error: unknown): string {
  return rootCause(error) ?? String(error);
}
