import type { BatchDeps } from '../batch/advance.ts';
import { abandonDataset } from '../batch/datasets/abandon-dataset.ts';
import { beginDataset, type DatasetBuild } from '../batch/datasets/begin-dataset.ts';
import { buildShard, type ShardOptions, type ShardSummary } from '../batch/datasets/build-shard.ts';
import { type DatasetSummary, publishDataset, type PublishOptions } from '../batch/datasets/publish-dataset.ts';
import type { DatasetRequest } from '../batch/datasets/request.ts';
import { beating, noting } from './beating.ts';
import { findActor } from './find-actor.ts';

export type DatasetOutcome = DatasetSummary;

/** A crash or a fault can be put between any two steps, by tests. */
export interface DatasetSteps {
  shard?: ShardOptions['onStep'];
  publish?: PublishOptions['onStep'];
}

/** The activities that build datasets; as `createActivities`. */
export function createDatasetActivities(deps: BatchDeps, steps: DatasetSteps) {
  return {
    async beginDataset(asked: DatasetRequest & { owner: string }): Promise<DatasetBuild> {
      return beating(async () => beginDataset(deps, { ...asked, actor: await findActor() }));
    },

    async buildShard({ build, unit }: { build: number; unit: number }): Promise<ShardSummary> {
      return beating((signal, at) =>
        buildShard(deps, build, unit, {
          signal,
          onStep: noting(at, steps.shard),
        }),
      );
    },

    async publishDataset({ build }: { build: number }): Promise<DatasetOutcome> {
      return beating((_, at) =>
        publishDataset(deps, build, {
          onStep: noting(at, steps.publish),
        }),
      );
    },

    async abandonDataset({ build }: { build: number }): Promise<void> {
      return beating(() => abandonDataset(deps, build));
    },
  };
}
