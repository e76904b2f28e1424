import { Command } from 'commander';
import type { Removed } from '../batch/retention/retention.ts';
import type { PruneSummary } from '../activities/retention-activities.ts';
import type { prune, PruneProgress } from '../workflows/prune.ts';
import { runWorkflow } from './follow.ts';
import { grouped, print, printJson, table } from './output.ts';
import { progressView } from './progress-view.ts';
import { withTemporal } from './servers.ts';

interface Options {
  dryRun?: true;
  json?: true;
}

/** `whence prune`: starts the workflow and follows it. */
export function pruneCommand(): Command {
  return new Command('prune')
    .description(
      'remove what is older than it is kept and not needed any more: versions, what was left behind, datasets, speed plays. ' +
        'Runs in Temporal; needs a worker, whose settings say how long things are kept',
    )
    .option('--dry-run', 'say what would be removed, and remove nothing')
    .option('--json', 'print JSON')
    .addHelpText('after', `\nThe daily cycle does it, too. How long things are kept: WHENCE_KEEP_…, see the README.`)
    .action(run);
}

async function run({ dryRun, json }: Options): Promise<void> {
  await withTemporal('prune', async (servers) => {
    const summary = await runWorkflow<typeof prune, PruneProgress>(servers, 'prune', {
      workflowId: dryRun ? 'prune/dry-run' : 'prune',
      input: { dryRun: dryRun ?? false },
      view: progressView(json ?? false, ({ stage }) => ({ done: 0, total: 0, words: stage })),
    });
    if (json) printJson(summary);
    else print(...describe(summary));
  });
}

/** The outcome, for people. */
function describe({ dryRun, attempts, builds, datasets, versions, speedPlays, noted, files }: PruneSummary): string[] {
  const row = (what: string, { count, bytes }: Removed) => ({ what, count, bytes });
  const days = speedPlays.days.length;
  return [
    dryRun ? 'Would be removed:' : 'Removed:',
    table([
      row('attempts left behind', attempts),
      row('builds of datasets left behind', builds),
      row('datasets', datasets),
      row(`plays of ${grouped(versions.versions)} old versions`, versions),
      row(`speed plays (${grouped(days)} more days settled)`, speedPlays),
      row('files that nothing refers to any more (deleted after a while)', noted),
      row('files deleted', files),
    ]),
    ...(versions.oldestKept === null ? [] : [`The oldest version that is kept: ${versions.oldestKept}`]),
    ...(speedPlays.heldBack === null ? [] : [`Speed plays are kept of ${speedPlays.heldBack}`]),
  ];
}
