import { ApplicationFailure } from '@temporalio/workflow';
import { z } from 'zod';

/** A day, UTC. */
export const dayInput = z.iso.date({ error: 'expected a UTC date such as "2026-11-23"' });

/** How long a found value is shown. */
const SHOWN = 60;

/**
 * Reads what a workflow was started with. Wrong input fails the workflow at once, for good, with words for whoever typed it.
 *
 * @param example what would be right
 * @throws ApplicationFailure of type `InvalidInput`, non-retryable, which lists everything wrong
 */
export function readInput<Shape extends z.core.$ZodLooseShape>(
  workflow: string,
  shape: Shape,
  example: object,
  input: unknown,
): z.output<z.ZodObject<Shape, z.core.$strict>> {
  const parsed = z.strictObject(shape).safeParse(input);
  if (parsed.success) return parsed.data;
  const wrong = parsed.error.issues.flatMap((issue) => describe(issue, input, Object.keys(shape)));
  throw ApplicationFailure.create({
    type: 'InvalidInput',
    nonRetryable: true,
    message:
      `The input of ${workflow} is wrong: ${wrong.join('; ')}. ` +
      `Start it again with one JSON object (encoding json/plain), such as ${JSON.stringify(example)}`,
  });
}

function describe(issue: z.core.$ZodIssue, input: unknown, known: readonly string[]): string[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => `"${key}" is no field of it (it has ${known.join(', ')})`);
  }
  const found = issue.path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown>)?.[key], input);
  const shown = found === undefined ? 'nothing' : JSON.stringify(found).slice(0, SHOWN);
  if (issue.path.length === 0) return [`expected one JSON object, found ${shown}`];
  return [`${issue.path.join('.')}: ${issue.message}, found ${shown}`];
}
