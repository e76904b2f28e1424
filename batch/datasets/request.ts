import ms, { type StringValue } from 'ms';
import { z } from 'zod';
import { DAY, utcDay } from '../../attribution/time.ts';
import { BatchRequestError } from '../errors.ts';

export const FORMATS = ['arrow', 'parquet'] as const;
export type DatasetFormat = (typeof FORMATS)[number];

/** What makes an example positive: that the discovery of its key credits it, or that a qualified play was launched from it. */
export const POSITIVES = ['discovery', 'source_of_play'] as const;
export type Positives = (typeof POSITIVES)[number];

/** docs/decisions/0012 says why it is a day. */
const DEFAULT_LABEL_WINDOW = '24h';
/** Of one dataset: whoever wants more builds several. */
const MOST_DAYS = 1_000;

export interface DatasetRequest {
  /** Letters, digits, "-" and "_". Each build of a name is a version of it. */
  name: string;
  /** The first and the last UTC day of the impressions, YYYY-MM-DD. */
  from: string;
  to: string;
  /** `arrow` (the default): Arrow IPC files; `parquet`. */
  format?: DatasetFormat;
  /** The share of the negatives that is kept, above 0 and at most 1 (the default). */
  negatives?: number;
  /** Chooses which negatives are kept: an integer, 0 by default. */
  seed?: number;
  /** `discovery` by default. */
  positives?: Positives;
  /** How long after an impression no play may start for it to be a negative: "24h" (the default), "7d", … */
  labelWindow?: string;
}

/** A request with nothing left open: with the pins, all that the bytes of a dataset's files follow from. */
export interface DatasetRecipe {
  name: string;
  from: string;
  to: string;
  format: DatasetFormat;
  negatives: number;
  seed: number;
  positives: Positives;
  labelWindowMs: number;
}

const day = z.string().refine((text) => {
  const time = Date.parse(`${text}T00:00:00Z`);
  return /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(time) && utcDay(time) === text;
}, 'expected a date such as 2026-11-23 (UTC)');

const duration = z.string().transform((text, context) => {
  const read = /^\d+(\.\d+)?\s*[a-z]+$/i.test(text) ? ms(text as StringValue) : undefined;
  if (typeof read === 'number' && Number.isInteger(read) && read > 0) return read;
  context.addIssue({ code: 'custom', message: 'expected a duration such as "30m", "24h" or "7d"' });
  return z.NEVER;
});

const schema = z.object({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, 'expected at most 64 letters, digits, "-" and "_"'),
  from: day,
  to: day,
  format: z.enum(FORMATS).default('arrow'),
  negatives: z.number().gt(0).max(1).default(1),
  seed: z.int().default(0),
  positives: z.enum(POSITIVES).default('discovery'),
  labelWindow: duration.prefault(DEFAULT_LABEL_WINDOW),
});

/**
 * Checks a request and fills in what it leaves open.
 *
 * @throws BatchRequestError that names everything wrong
 */
export function readRequest(request: DatasetRequest): DatasetRecipe {
  const read = schema.safeParse(request);
  if (!read.success) {
    const problems = read.error.issues.map(({ path, message }) => {
      const field = path.join('.');
      return `${field} ${JSON.stringify(request[field as keyof DatasetRequest])}: ${message}`;
    });
    throw new BatchRequestError(`The dataset cannot be built as asked for: ${problems.join('; ')}`);
  }
  const { labelWindow, ...recipe } = read.data;
  const days = daysOf(recipe).length;
  if (days === 0) throw new BatchRequestError(`from ${recipe.from} is after to ${recipe.to}; swap them`);
  if (days > MOST_DAYS) {
    throw new BatchRequestError(
      `${recipe.from} to ${recipe.to} are more than ${MOST_DAYS} days; build several datasets`,
    );
  }
  return { ...recipe, labelWindowMs: labelWindow };
}

/** The days of a dataset, in order; of a range far too long only the first. */
export function daysOf({ from, to }: Pick<DatasetRecipe, 'from' | 'to'>): string[] {
  const { begin, end } = timesOf({ from, to });
  const days: string[] = [];
  for (let time = begin; time < end && days.length <= MOST_DAYS; time += DAY) days.push(utcDay(time));
  return days;
}

/** The times of a dataset's impressions, epoch milliseconds: from `begin` up to `end`, that one not included. */
export function timesOf({ from, to }: Pick<DatasetRecipe, 'from' | 'to'>): { begin: number; end: number } {
  return { begin: Date.parse(`${from}T00:00:00Z`), end: Date.parse(`${to}T00:00:00Z`) + DAY };
}
