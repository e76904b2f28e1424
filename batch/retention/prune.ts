import type { BatchDeps } from '../advance.ts';
import { type IsRunning, pruneAttempts, pruneBuilds } from './attempts.ts';
import { pruneDatasets } from './datasets.ts';
import { deleteObjects, noteUnusedCopies } from './objects.ts';
import type { PruneStep, Removed, Retention } from './retention.ts';
import { pruneSpeedPlays, type RemovedSpeedPlays } from './speed-plays.ts';
import { pruneVersions, type RemovedVersions } from './versions.ts';

export interface PruneOptions {
  retention: Retention;
  isRunning: IsRunning;
  /** Says what would go, and removes nothing. What goes only because something else went before is not foreseen. */
  dryRun?: boolean;
  onStep?: (step: PruneStep) => void | Promise<void>;
}

/** What was removed, or would be. Bytes are those of rows and files. */
export interface PruneSummary {
  dryRun: boolean;
  /** Attempts and builds that their workflows left behind. */
  attempts: Removed;
  builds: Removed;
  datasets: Removed;
  versions: RemovedVersions;
  speedPlays: RemovedSpeedPlays;
  /** Files that nothing refers to any more, noted now: they are deleted after the grace. */
  noted: Removed;
  /** Files that were deleted: of datasets, too. */
  files: Removed;
}

/**
 * Removes what is older than it is kept, and not needed any more: see each kind. Any number may run at once, and each may be cut off
 * anywhere: the next one ends what it had begun.
 */
export async function prune(
  deps: BatchDeps,
  { retention, isRunning, dryRun = false, onStep = () => {} }: PruneOptions,
): Promise<PruneSummary> {
  const attempts = await pruneAttempts(deps, retention, isRunning, dryRun);
  await onStep('attempts');
  const builds = await pruneBuilds(deps, retention, isRunning, dryRun);
  await onStep('builds');
  const datasets = await pruneDatasets(deps, retention, dryRun);
  await onStep('datasets');
  const versions = await pruneVersions(deps, retention, { dryRun, onStep });
  const speedPlays = await pruneSpeedPlays(deps, retention, { dryRun, onStep });
  const noted = await noteUnusedCopies(deps, dryRun);
  await onStep('objects noted');
  const files = await deleteObjects(deps, retention, { dryRun, onStep });
  await onStep('objects');
  return { dryRun, attempts, builds, datasets, versions, speedPlays, noted, files };
}
