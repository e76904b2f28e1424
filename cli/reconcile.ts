import { Command } from 'commander';
import type { AdvanceOutcome } from '../activities/activities.ts';
import type { AdvanceProgress } from '../workflows/advance.ts';
import type { reconcileDay } from '../workflows/reconcile-day.ts';
import { runWorkflow } from './follow.ts';
import { grouped, print, printJson } from './output.ts';
import { progressView, type Shown } from './progress-view.ts';
import { withTemporal } from './servers.ts';

interface Options {
  day: string;
  json?: true;
}

/** `whence reconcile`: starts the workflow, or joins the one that runs for the day, and follows it. */
export function reconcileCommand(): Command {
  return new Command('reconcile')
    .description(
      'correct a day: computes its plays again from the archive, with all that came late since, and commits them together. ' +
        'Runs in Temporal; needs a worker',
    )
    .requiredOption('--day <date>', 'the day, UTC, such as 2026-11-23')
    .option('--json', 'print JSON')
    .action(run);
}

async function run({ day, json }: Options): Promise<void> {
  await withTemporal('reconcile', async (servers) => {
    const outcome = await runWorkflow<typeof reconcileDay, AdvanceProgress>(servers, 'reconcileDay', {
      workflowId: `reconcileDay/${day}`,
      input: { day },
      view: progressView(json ?? false, shown),
    });
    if (json) printJson(outcome);
    else print(...describeOutcome(outcome));
  });
}

const STAGES: Record<AdvanceProgress['stage'], string> = {
  beginning: 'looking at what the archive has since',
  computing: 'computing',
  committing: 'committing',
  comparing: 'comparing with the speed layer',
  done: 'done',
};

function shown({ stage, unitsDone, units, plays }: AdvanceProgress): Shown {
  const of = units > 0 ? `: ${unitsDone} of ${units} units, ${grouped(plays)} plays` : '';
  return { done: unitsDone, total: units, words: `${STAGES[stage]}${of}` };
}

/** The outcome, for people. */
function describeOutcome(outcome: AdvanceOutcome): string[] {
  const { version, days, records, plays, playsChanged, daysChanged, dirtyKeys, corrections, byCause } = outcome;
  const causes = Object.entries(byCause).map(([cause, n]) => `${grouped(n)} ${cause}`);
  const of = days.join(', ');
  return [
    `Version ${version} is current.`,
    records === 0
      ? `  The archive holds no record of ${of}: is "whence stream" or "whence archive" running?`
      : `  ${grouped(plays)} plays of ${of}, from ${grouped(records)} archived records.`,
    `  ${grouped(playsChanged)} plays changed, in ${daysChanged === 1 ? '1 day' : `${grouped(daysChanged)} days`}; ${grouped(dirtyKeys)} keys were dirty.`,
    corrections === null
      ? '  Not compared yet: the speed layer has not read all that the archive holds.'
      : `  ${grouped(corrections)} corrections of the speed layer${causes.length > 0 ? `: ${causes.join(', ')}` : ''}.`,
  ];
}
