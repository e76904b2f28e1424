import type { BatchDeps } from '../advance.ts';
import { abandonDataset } from './abandon-dataset.ts';
import { beginDataset, type BeginDatasetOptions, type BeginDatasetRequest } from './begin-dataset.ts';
import { buildShard } from './build-shard.ts';
import { type DatasetSummary, publishDataset } from './publish-dataset.ts';

/** Builds and publishes a dataset in this process, one shard after the other; a build that fails is given up. */
export async function buildHere(
  deps: BatchDeps,
  request: BeginDatasetRequest,
  options: BeginDatasetOptions = {},
): Promise<DatasetSummary> {
  const { build, units } = await beginDataset(deps, request, options);
  try {
    for (let unit = 0; unit < units; unit++) await buildShard(deps, build, unit);
    return await publishDataset(deps, build);
  } catch (error) {
    await abandonDataset(deps, build);
    throw error;
  }
}
