import { Command, InvalidArgumentError } from 'commander';
import { ScheduleNotFoundError, type Client, type ScheduleDescription } from '@temporalio/client';
import type { DailyCycleInput } from '../workflows/daily-cycle.ts';
import { provideSearchAttributes } from '../platform/search-attributes.ts';
import { foundBy } from '../workflows/found-by.ts';
import { UsageError } from './failure.ts';
import { print, printJson, say, table } from './output.ts';
import { withTemporal } from './servers.ts';

/** As it stands in Temporal. */
export const SCHEDULE_ID = 'whence-daily-cycle';
/** So many runs, of before and to come, are shown. */
const RUNS_SHOWN = 5;

interface ApplyOptions {
  at: TimeOfDay;
  wait: number;
  /** A name, or false for none. */
  dataset: string | false;
  negatives: number;
}

interface TimeOfDay {
  hour: number;
  minute: number;
}

/** `whence schedule`: the daily cycle as a Temporal Schedule. */
export function scheduleCommand(): Command {
  return new Command('schedule')
    .description('the daily cycle as a Temporal Schedule: each day, the day before is reconciled')
    .addCommand(
      new Command('apply')
        .description('make the schedule, or change it to what is said here')
        .option('--at <HH:MM>', 'when, UTC', timeOfDay, { hour: 1, minute: 0 })
        .option('--wait <minutes>', 'how long the archive is waited for, if it has not passed the day', minutes, 360)
        .option('--dataset <name>', 'the dataset that is built each day', 'daily')
        .option('--no-dataset', 'build none')
        .option('--negatives <share>', 'of the dataset: the share of the negatives that is kept', share, 1)
        .addHelpText(
          'after',
          `
The day is that before the scheduled time, so that a backfill of the schedule ("Backfill" in Temporal's UI, over past times) does
the days asked for, one after the other. The dataset has the impressions of the day before the one that is reconciled: what came of
them is settled by then.`,
        )
        .action(apply),
    )
    .addCommand(
      new Command('show')
        .description('what is scheduled, and how its last runs ended')
        .option('--json', 'print JSON')
        .action(show),
    );
}

async function apply({ at, wait, dataset, negatives }: ApplyOptions): Promise<void> {
  await withTemporal('schedule', async ({ client, settings }) => {
    const input = { waitMinutes: wait, ...(dataset !== false && { dataset: { name: dataset, negatives } }) };
    const problem = await provideSearchAttributes(client.connection, client.options.namespace);
    if (problem !== null) say(problem);
    await applySchedule(client, settings.taskQueue, at, input, problem === null);
    say(`Schedule ${SCHEDULE_ID}: every day at ${clock(at)} UTC`);
    print(...describe(await client.schedule.getHandle(SCHEDULE_ID).describe()));
  });
}

/**
 * Makes the schedule, or changes it.
 *
 * @param findable whether the server has the search attributes of whence
 */
export async function applySchedule(
  client: Client,
  taskQueue: string,
  at: TimeOfDay,
  input: DailyCycleInput,
  findable = false,
): Promise<void> {
  const options = {
    spec: { calendars: [at], timezone: 'UTC' },
    action: {
      type: 'startWorkflow' as const,
      workflowType: 'dailyCycle',
      // Temporal adds the scheduled time.
      workflowId: 'dailyCycle',
      taskQueue,
      args: [input],
      ...(findable && { typedSearchAttributes: foundBy('dailyCycle', {}) }),
    },
    policies: {
      // A day that waits for the one before is not left out; nor are those of a backfill of the schedule.
      overlap: 'BUFFER_ALL' as const,
      // After an outage of Temporal, the days of a week are caught up on.
      catchupWindow: '7 days' as const,
      pauseOnFailure: false,
    },
  };
  const handle = client.schedule.getHandle(SCHEDULE_ID);
  try {
    await handle.update(({ state }) => ({ ...options, state }));
  } catch (error) {
    if (!(error instanceof ScheduleNotFoundError)) throw error;
    await client.schedule.create({ ...options, scheduleId: SCHEDULE_ID });
  }
}

async function show({ json }: { json?: true }): Promise<void> {
  await withTemporal('schedule', async ({ client }) => {
    const description = await client.schedule
      .getHandle(SCHEDULE_ID)
      .describe()
      .catch((error: unknown) => {
        if (!(error instanceof ScheduleNotFoundError)) throw error;
        throw new UsageError('There is no schedule yet; make it with: npx whence schedule apply');
      });
    if (json) printJson(asJson(description));
    else print(`Schedule ${SCHEDULE_ID}:`, ...describe(description));
  });
}

function asJson({ spec, policies, state, info }: ScheduleDescription) {
  return {
    schedule: SCHEDULE_ID,
    paused: state.paused,
    overlap: policies.overlap,
    catchup_window_ms: policies.catchupWindow,
    calendars: spec.calendars,
    next: info.nextActionTimes.slice(0, RUNS_SHOWN).map((time) => time.toISOString()),
    recent: info.recentActions.slice(-RUNS_SHOWN).map(({ scheduledAt, takenAt, action }) => ({
      scheduled_at: scheduledAt.toISOString(),
      taken_at: takenAt.toISOString(),
      workflow_id: action.workflow.workflowId,
    })),
  };
}

function describe(description: ScheduleDescription): string[] {
  const { paused, overlap, next, recent } = asJson(description);
  return [
    `  ${paused ? 'PAUSED. ' : ''}Runs that overlap wait for each other (${overlap}). Next: ${next.join(', ')}`,
    ...(recent.length === 0 ? ['  It has not run yet.'] : ['  Its last runs:', table(recent)]),
  ];
}

function clock({ hour, minute }: TimeOfDay): string {
  return `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`;
}

function timeOfDay(text: string): TimeOfDay {
  const match = /^([01]?\d|2[0-3]):([0-5]\d)$/.exec(text);
  if (match === null) throw new InvalidArgumentError('Expected a time such as 01:30.');
  return { hour: Number(match[1]), minute: Number(match[2]) };
}

function minutes(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 1440) throw new InvalidArgumentError('Expected 0 to 1440 minutes.');
  return value;
}

/** Above 0 and at most 1. */
export function share(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 1)) throw new InvalidArgumentError('Expected a share above 0 and at most 1.');
  return value;
}
