import { CancellationScope, defineQuery, setCurrentDetails, setHandler, workflowInfo } from '@temporalio/workflow';
import { z } from 'zod';
import type { DatasetOutcome } from '../activities/dataset-activities.ts';
import { longActivities, quick } from './activities.ts';
import { inWindow } from './in-window.ts';
import { beFound } from './found-as-well.ts';
import { dayInput, readInput } from './input.ts';

export interface BuildDatasetInput {
  name: string;
  /** The first and the last day of the impressions: UTC, YYYY-MM-DD. */
  from: string;
  to: string;
  format?: 'arrow' | 'parquet';
  /** The share of the negatives that is kept, above 0 and at most 1. */
  negatives?: number;
  seed?: number;
  positives?: 'discovery' | 'source_of_play';
  /** "24h" by default. */
  labelWindow?: string;
}

/** How far the build of a dataset is: what the query `progress` answers. */
export interface BuildDatasetProgress {
  stage: 'beginning' | 'building' | 'publishing' | 'done';
  shards: number;
  shardsDone: number;
  examples: number;
  positives: number;
}

export const buildDatasetProgress = defineQuery<BuildDatasetProgress>('progress');

const oneOf = (...values: [string, ...string[]]) => ({
  error: `expected ${values.map((value) => `"${value}"`).join(' or ')}`,
});
/** What can be said of a dataset beside its days. */
export const DATASET_SHAPE = {
  name: z.string({ error: 'expected a name such as "daily"' }),
  format: z.enum(['arrow', 'parquet'], oneOf('arrow', 'parquet')).optional(),
  negatives: z.number({ error: 'expected a share of the negatives, above 0 and at most 1' }).optional(),
  seed: z.int({ error: 'expected a whole number' }).optional(),
  positives: z.enum(['discovery', 'source_of_play'], oneOf('discovery', 'source_of_play')).optional(),
  labelWindow: z.string({ error: 'expected a duration such as "24h"' }).optional(),
};
const SHAPE = { ...DATASET_SHAPE, from: dayInput, to: dayInput };
const EXAMPLE = { name: 'rows', from: '2026-11-01', to: '2026-11-23', negatives: 0.1, seed: 7 };

/** Shards at work at once; how many really run, the workers' slots decide. */
const SHARDS_AT_ONCE = 8;

/**
 * Builds a training dataset of the impressions of some covered days, and publishes it as the next version of its name. The same
 * request over the same state of the batch view gives the same bytes.
 */
export async function buildDataset(input: BuildDatasetInput): Promise<DatasetOutcome> {
  const progress: BuildDatasetProgress = { stage: 'beginning', shards: 0, shardsDone: 0, examples: 0, positives: 0 };
  setHandler(buildDatasetProgress, () => progress);
  const now = (change: Partial<BuildDatasetProgress>) => {
    Object.assign(progress, change);
    const { stage, shards, shardsDone, examples, positives } = progress;
    setCurrentDetails(
      `**${stage}**\n- shards: ${shardsDone} of ${shards}\n- examples: ${examples}, of them positive: ${positives}`,
    );
  };
  const long = longActivities();
  const request = readInput('buildDataset', SHAPE, EXAMPLE, input);
  await beFound('buildDataset', request);
  const { build, units } = await long.beginDataset({ ...request, owner: workflowInfo().workflowId });
  try {
    now({ stage: 'building', shards: units });
    await inWindow(
      SHARDS_AT_ONCE,
      Array.from({ length: units }, (_, unit) => unit),
      async (unit) => {
        const { examples, positives } = await long.buildShard({ build, unit });
        now({
          shardsDone: progress.shardsDone + 1,
          examples: progress.examples + examples,
          positives: progress.positives + positives,
        });
      },
    );
    now({ stage: 'publishing' });
    const outcome = await long.publishDataset({ build });
    now({ stage: 'done' });
    return outcome;
  } catch (error) {
    await CancellationScope.nonCancellable(() => quick.abandonDataset({ build }));
    throw error;
  }
}
