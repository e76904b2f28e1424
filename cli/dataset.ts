import { Command } from 'commander';
import type { DatasetOutcome } from '../activities/dataset-activities.ts';
import { listDatasets } from '../batch/datasets/list-datasets.ts';
import { verifyDataset } from '../batch/datasets/verify-dataset.ts';
import { openStorage } from '../platform/open-storage.ts';
import type { buildDataset, BuildDatasetInput, BuildDatasetProgress } from '../workflows/build-dataset.ts';
import { runWorkflow } from './follow.ts';
import { wholeNumber } from './option-values.ts';
import { grouped, print, printJson, table } from './output.ts';
import { progressView } from './progress-view.ts';
import { share } from './schedule.ts';
import { withDatabase, withTemporal } from './servers.ts';

type BuildOptions = BuildDatasetInput & { json?: true };

/** `whence dataset`: training datasets. */
export function datasetCommand(): Command {
  return new Command('dataset')
    .description('training datasets: impressions with what came of them, and what was known before')
    .addCommand(
      new Command('build')
        .description('build a dataset of the impressions of some covered days. Runs in Temporal; needs a worker')
        .requiredOption('--name <name>', 'each build of a name is a version of it')
        .requiredOption('--from <date>', 'the first day, UTC')
        .requiredOption('--to <date>', 'the last day, UTC')
        .option('--format <format>', 'arrow (IPC files) or parquet', 'arrow')
        .option('--negatives <share>', 'the share of the negatives that is kept; their weight is 1/share', share, 1)
        .option('--seed <n>', 'chooses which negatives are kept', wholeNumber, 0)
        .option('--positives <kind>', 'what is positive: the discovery, or each qualified source_of_play', 'discovery')
        .option('--label-window <duration>', 'no play so long after it makes an impression negative', '24h')
        .option('--json', 'print JSON')
        .action(build),
    )
    .addCommand(new Command('list').description('the datasets there are').option('--json', 'print JSON').action(list))
    .addCommand(
      new Command('verify')
        .description('read a dataset again: is it what was published?')
        .argument('<name>', 'its name')
        .option('--dataset-version <n>', 'which version (default: the latest)', wholeNumber)
        .option('--json', 'print JSON')
        .action(verify),
    );
}

async function build({ json, ...input }: BuildOptions): Promise<void> {
  await withTemporal('dataset', async (servers) => {
    const outcome = await runWorkflow<typeof buildDataset, BuildDatasetProgress>(servers, 'buildDataset', {
      workflowId: `buildDataset/${input.name}/${input.from}..${input.to}`,
      input,
      view: progressView(json ?? false, ({ stage, shards, shardsDone, examples }) => ({
        done: shardsDone,
        total: shards,
        words: `${stage}${shards > 0 ? `: ${shardsDone} of ${shards} shards, ${grouped(examples)} examples` : ''}`,
      })),
    });
    if (json) printJson(outcome);
    else print(...describeOutcome(outcome));
  });
}

/** The outcome, for people. */
function describeOutcome({ name, version, path, counts, labelRate }: DatasetOutcome): string[] {
  const excluded = Object.entries(counts.excluded).filter(([, n]) => n > 0);
  const rate = labelRate === null ? '' : ` (${(labelRate * 100).toFixed(2)} %)`;
  return [
    `Dataset ${name}, version ${version}: ${grouped(counts.examples)} examples, ${grouped(counts.positives)} positive${rate}.`,
    `  Of ${grouped(counts.impressions)} impressions, ${grouped(counts.sampledOut)} negatives were not drawn; excluded: ` +
      (excluded.length === 0
        ? 'none'
        : excluded.map(([reason, n]) => `${grouped(n)} ${reason.replaceAll('_', ' ')}`).join(', ')),
    `  ${path}`,
  ];
}

async function list({ json }: { json?: true }): Promise<void> {
  await withDatabase('dataset', async ({ pool }) => {
    const datasets = await listDatasets(pool);
    if (json) printJson(datasets);
    else if (datasets.length === 0) print('There are no datasets yet; build one with: npx whence dataset build');
    else {
      print(
        table(
          datasets.map(({ from_day, to_day, manifest_sha256, created_at, ...shown }) => ({
            ...shown,
            days: from_day === to_day ? from_day : `${from_day} to ${to_day}`,
            created_at: created_at.toISOString(),
            manifest: manifest_sha256?.slice(0, 12) ?? null,
          })),
        ),
      );
    }
  });
}

async function verify(name: string, options: { datasetVersion?: number; json?: true }): Promise<void> {
  await withDatabase('dataset', async ({ pool, settings }) => {
    const storage = await openStorage(settings);
    const verified = await verifyDataset({ pool, storage }, name, options.datasetVersion);
    const { version, shards, examples, faults } = verified;
    if (faults.length > 0) process.exitCode = 1;
    if (options.json) printJson(verified);
    else if (faults.length === 0) {
      print(`Dataset ${name}, version ${version}, is as published: ${shards} shards, ${grouped(examples)} examples.`);
    } else print(`Dataset ${name}, version ${version}, is not as published:`, ...faults.map((fault) => `  ${fault}`));
  });
}
