import type { BackfillEstimate, PreviewChange, PreviewSummary } from '../activities/backfill-activities.ts';

export type BackfillPhase =
  | 'planning'
  | 'beginning'
  | 'computing'
  | 'paused'
  | 'previewing'
  | 'awaiting approval'
  | 'deciding'
  | 'comparing'
  | 'done';

export interface FailedDay {
  day: string;
  reason: string;
}

/** How far a backfill is: what the query `progress` answers. */
export interface BackfillProgress {
  phase: BackfillPhase;
  from: string;
  to: string;
  days: { done: number; failed: FailedDay[]; left: number };
  /** Of the days at work, those that were computed since the last beginning. */
  units: number;
  unitsDone: number;
  playsChanged: number;
  /** How often another commit came first, and what was not committed began again. */
  begunAgain: number;
  /** The last version that it committed. */
  version: number | null;
  estimate: BackfillEstimate | null;
  /** ISO-8601: when it will be done if it goes on as it went; null where nothing is known. */
  eta: string | null;
  preview: PreviewSummary | null;
  approvedBy: string | null;
}

/** For people, in the UI. */
export function detailsOf(progress: BackfillProgress): string {
  const { phase, from, to, days, units, unitsDone, estimate, eta, preview, approvedBy, begunAgain, version } = progress;
  return [
    `**${phase}** ${from} to ${to}`,
    `- days: ${days.done} done, ${days.left} left, ${days.failed.length} failed`,
    `- units of the days at work: ${unitsDone} of ${units} computed`,
    ...(estimate === null ? [] : [`- estimated: ${estimateText(estimate)}`]),
    ...(eta === null ? [] : [`- done about ${eta}`]),
    ...(begunAgain > 0 ? [`- began again ${begunAgain} times, since another commit came first`] : []),
    ...(version === null ? [] : [`- last committed: version ${version}`]),
    ...days.failed.map(({ day, reason }) => `- ${day} failed: ${reason}`),
    ...(preview === null ? [] : previewText(preview)),
    ...(phase === 'awaiting approval' ? ['', 'Send the update `approve` or `reject`; nothing was committed yet.'] : []),
    ...(approvedBy === null ? [] : [`- approved by ${approvedBy}`]),
  ].join('\n');
}

function estimateText({ records, seconds, plays }: BackfillEstimate): string {
  const time = seconds === null ? 'no unit was measured yet' : `${Math.ceil(seconds)} s`;
  return `${records} records${plays === null ? '' : `, ${plays} plays`}; ${time}`;
}

function previewText({ version, plays, top }: PreviewSummary): string[] {
  return [
    '',
    `**${plays} plays would change**, compared with version ${version}:`,
    '',
    '| plays | country | change | from | to | such as |',
    '| --- | --- | --- | --- | --- | --- |',
    ...top.map((each) => `| ${cellsOf(each).join(' | ')} |`),
  ];
}

function cellsOf({ plays, country, change, from_row, to_row, examples }: PreviewChange): (string | number)[] {
  return [plays, country, change, from_row ?? '', to_row ?? '', examples[0]?.play_id ?? ''];
}
