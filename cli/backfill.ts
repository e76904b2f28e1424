import { userInfo } from 'node:os';
import readline from 'node:readline/promises';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { Command, Option } from 'commander';
import type { PreviewSummary } from '../activities/backfill-activities.ts';
import type { backfill, BackfillInput, BackfillOutcome } from '../workflows/backfill.ts';
import type { BackfillProgress } from '../workflows/backfill-progress.ts';
import { UsageError } from './failure.ts';
import { type ProgressView, runWorkflow } from './follow.ts';
import { wholeNumber } from './option-values.ts';
import { grouped, print, printJson, say, table } from './output.ts';
import { progressView, type Shown } from './progress-view.ts';
import { withTemporal } from './servers.ts';

type Options = BackfillInput & { json?: true };

/** `whence backfill`: starts the workflow, or joins the one that runs for the range, and follows it. */
export function backfillCommand(): Command {
  const command = new Command('backfill')
    .description(
      'cover a range of days, or compute them again: several at once, committed day by day. With --preview, nothing is ' +
        'committed before it is approved. Runs in Temporal; needs a worker',
    )
    .option('--from <date>', 'the first day, UTC, such as 2026-11-01')
    .option('--to <date>', 'the last day, UTC')
    .option('--preview', 'compute, say which plays would change, and wait for approval')
    .option('--parallel <n>', 'days that are computed at once', wholeNumber, 2)
    .addOption(
      new Option('--only <which>', 'of the days').choices(['missing', 'dirty', 'failed', 'all']).default('all'),
    )
    .addOption(new Option('--order <order>', 'which first').choices(['oldest', 'newest']).default('oldest'))
    .option('--json', 'print JSON')
    .action(run);
  for (const [name, does] of [
    ['approve', 'commit what the preview of a backfill showed'],
    ['reject', 'end a backfill without committing what its preview showed'],
  ] as const) {
    command.addCommand(
      new Command(name)
        .description(does)
        .argument('<workflow>', 'its id, as "whence backfill" says')
        .action((id: string) => withBackfill(id, async (handle) => say(`${name}: ${await decide(handle, name)}`))),
    );
  }
  for (const [name, does] of [
    ['pause', 'take no more days; what is at work ends'],
    ['resume', 'go on'],
  ] as const) {
    command.addCommand(
      new Command(name)
        .description(does)
        .argument('<workflow>', 'its id')
        .action((id: string) => withBackfill(id, (handle) => handle.signal(name))),
    );
  }
  return command;
}

async function withBackfill(id: string, work: (handle: WorkflowHandle) => Promise<unknown>): Promise<void> {
  await withTemporal('backfill', async ({ client }) => void (await work(client.workflow.getHandle(id))));
}

/** @returns who decided */
async function decide(handle: WorkflowHandle, name: 'approve' | 'reject', version?: number): Promise<string> {
  try {
    const args: [object] = [{ actor: userInfo().username, ...(version !== undefined && { version }) }];
    return await handle.executeUpdate<string, [object]>(name, { args });
  } catch (error) {
    const reason = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    if (!(reason instanceof Error)) throw error;
    throw new UsageError(reason.message, { cause: error });
  }
}

async function run({ json, ...input }: Options): Promise<void> {
  const { from, to } = input as Partial<BackfillInput>;
  if (from === undefined || to === undefined) {
    throw new UsageError('Say which days: npx whence backfill --from 2026-11-01 --to 2026-11-10');
  }
  const workflowId = `backfill/${from}..${to}`;
  await withTemporal('backfill', async (servers) => {
    const outcome = await runWorkflow<typeof backfill, BackfillProgress>(servers, 'backfill', {
      workflowId,
      input,
      view: asking(servers.client, workflowId, progressView(json ?? false, shown)),
    });
    if (outcome.status === 'completed_with_failures') process.exitCode = 1;
    if (json) printJson(outcome);
    else print(...describeOutcome(outcome));
  });
}

/** Shows a preview when it is there, and asks on a terminal; else it says how to decide. */
function asking(
  client: Client,
  workflowId: string,
  view: ProgressView<BackfillProgress>,
): ProgressView<BackfillProgress> {
  let asked: number | null = null;
  return {
    show(progress) {
      view.show(progress);
      const { phase, preview } = progress;
      if (phase !== 'awaiting approval' || preview === null || asked === preview.version) return;
      asked = preview.version;
      for (const line of describePreview(preview)) say(line);
      say(`Decide with: npx whence backfill approve ${workflowId}   or: npx whence backfill reject ${workflowId}`);
      if (process.stdin.isTTY && process.stderr.isTTY) void ask(client, workflowId, preview);
    },
    stop: () => view.stop(),
  };
}

async function ask(client: Client, workflowId: string, { version }: PreviewSummary): Promise<void> {
  const terminal = readline.createInterface({ input: process.stdin, output: process.stderr });
  // Taken by readline on a terminal: it is the process that is meant.
  terminal.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  try {
    const answer = (await terminal.question('Commit this? [yes/no] ')).trim().toLowerCase();
    if (answer !== 'yes' && answer !== 'no') return say('Neither: the preview goes on waiting');
    await decide(client.workflow.getHandle(workflowId), answer === 'yes' ? 'approve' : 'reject', version);
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
  } finally {
    terminal.close();
  }
}

function describePreview({ plays, version, top }: PreviewSummary): string[] {
  const against = version === 0 ? 'nothing is covered yet' : `compared with version ${version}`;
  if (plays === 0) return [`No play would change (${against}).`];
  return [
    `${grouped(plays)} plays would change (${against}):`,
    table(
      top.map(({ country, change, from_row, to_row, plays: n, examples }) => ({
        plays: n,
        country,
        change,
        from: from_row,
        to: to_row,
        'such as': examples[0]?.play_id ?? null,
      })),
    ),
  ];
}

function shown({ phase, days, units, unitsDone, eta }: BackfillProgress): Shown {
  const total = days.done + days.failed.length + days.left;
  const until = eta === null ? '' : `, done about ${eta.slice(0, 16)}Z`;
  const of = `${days.done} of ${total} days, ${unitsDone} of ${units} units${until}`;
  return { done: days.done + days.failed.length, total, words: `${phase}: ${of}` };
}

/** The outcome, for people. */
function describeOutcome({
  status,
  days,
  failed,
  playsChanged,
  version,
  seconds,
  estimateError,
}: BackfillOutcome): string[] {
  const error =
    estimateError === null
      ? ''
      : ` (${Math.round(Math.abs(estimateError) * 100)} % ${estimateError < 0 ? 'less' : 'more'} than estimated)`;
  return [
    status === 'rejected'
      ? 'Rejected: nothing of the preview was committed.'
      : `${grouped(days)} days committed${version === null ? '' : `, version ${version} is the last`}; ${grouped(playsChanged)} plays changed.`,
    `  ${seconds.toFixed(1)} s of work${error}.`,
    ...failed.map(({ day, reason }) => `  ${day} failed: ${reason}`),
    ...(failed.length > 0 ? ['  Ask for these again with --only failed.'] : []),
  ];
}
