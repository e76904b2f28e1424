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
