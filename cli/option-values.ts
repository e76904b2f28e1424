import { InvalidArgumentError } from 'commander';

// What several commands read of an option's text. Each throws InvalidArgumentError, to which Commander adds the option.

export function port(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= 65_535) return value;
  throw new InvalidArgumentError('Expected a port, 0 to 65535 (0: any that is free).');
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError('Expected a whole number.');
  return value;
}

/** Within bounds, both included. */
export function wholeNumberFrom(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  const bounds = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`Expected a whole number ${bounds}.`);
  };
}

export function linesASecond(text: string): number {
  const value = Number(text);
  if (/^\d*\.?\d+$/.test(text) && value > 0) return value;
  throw new InvalidArgumentError('Expected a number of lines a second greater than 0, as 5000 or 0.5.');
}

/** A UTC date. */
export function day(text: string): string {
  const time = Date.parse(`${text}T00:00:00Z`);
  // The round trip refuses days like 2025-02-30, which Date would move on.
  const exists =
    /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(time) && new Date(time).toISOString().startsWith(text);
  if (exists) return text;
  throw new InvalidArgumentError('Expected a day that exists, as YYYY-MM-DD.');
}
