import { Command, InvalidArgumentError } from 'commander';
import type { release, rollback, RollbackProgress } from '../workflows/rollback.ts';
import { type ProgressView, runWorkflow } from './follow.ts';
import { grouped, print, printJson } from './output.ts';
import { progressView } from './progress-view.ts';
import { withTemporal } from './servers.ts';

interface Options {
  to: number;
  json?: true;
}

/** `whence rollback`: starts the workflow and follows it. */
export function rollbackCommand(): Command {
  return new Command('rollback')
    .description(
      'make a version of the batch view current that is kept, and hold it until "whence release". Runs in Temporal; needs a worker',
    )
    .requiredOption('--to <version>', 'its number, as in whence.versions', versionNumber)
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Nothing is lost: later versions stay, and "rollback --to" one of them goes forward again. While a version is held, what would be
committed over it is refused, and runs of the schedule wait.`,
    )
    .action(runRollback);
}

/** `whence release`: starts the workflow and follows it. */
export function releaseCommand(): Command {
  return new Command('release')
    .description(
      'let go of the version that "whence rollback" holds: what is committed next follows it. Runs in Temporal; needs a worker',
    )
    .option('--json', 'print JSON')
    .action(runRelease);
}

async function runRollback({ to, json }: Options): Promise<void> {
  await withTemporal('rollback', async (servers) => {
    const done = await runWorkflow<typeof rollback, RollbackProgress>(servers, 'rollback', {
      workflowId: `rollback/${to}`,
      input: { version: to },
      view: stageView(json),
    });
    if (json) printJson(done);
    else {
      print(
        `Version ${done.version} is current, held by ${done.heldBy}; it was ${done.from}.`,
        `  ${grouped(done.playsChanged)} plays changed, in ${done.daysChanged === 1 ? '1 day' : `${grouped(done.daysChanged)} days`}.`,
        '  Nothing is committed over it before: npx whence release',
      );
    }
  });
}

async function runRelease({ json }: { json?: true }): Promise<void> {
  await withTemporal('release', async (servers) => {
    const done = await runWorkflow<typeof release, RollbackProgress>(servers, 'release', {
      workflowId: 'release',
      input: {},
      view: stageView(json),
    });
    if (json) printJson(done);
    else if (done.heldBy === null) print(`Version ${done.version} was not held.`);
    else print(`Version ${done.version} is no longer held by ${done.heldBy}; what is committed next follows it.`);
  });
}

function stageView(json: true | undefined): ProgressView<RollbackProgress> {
  return progressView(json ?? false, ({ stage }) => ({ done: 0, total: 0, words: stage }));
}

function versionNumber(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('Expected the number of a version; they are in whence.versions.');
}
