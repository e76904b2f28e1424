import { expect, test } from 'vitest';
import { day, linesASecond, port, wholeNumber, wholeNumberFrom } from '../../cli/option-values.ts';

test.each([
  ['a port', port, '0', 0],
  ['a port', port, '65535', 65_535],
  ['a whole number', wholeNumber, '-7', -7],
  ['a number with no bound above', wholeNumberFrom(0), '4000000', 4_000_000],
  ['the least', wholeNumberFrom(1, 64), '1', 1],
  ['the most', wholeNumberFrom(1, 64), '64', 64],
  ['a rate', linesASecond, '.5', 0.5],
  ['a leap day', day, '2024-02-29', '2024-02-29'],
])('%s is read: %#', (_, read, text, value) => {
  expect(read(text)).toBe(value);
});

test.each([
  [port, ['65536', '-1', '80.5', ''], 'Expected a port, 0 to 65535 (0: any that is free).'],
  [wholeNumber, ['1.5', 'many', '1e20'], 'Expected a whole number.'],
  [wholeNumberFrom(1, 64), ['0', '65', '2.5', '1e1', '', ' 7', '-3'], 'Expected a whole number from 1 to 64.'],
  [wholeNumberFrom(1), ['0', 'all', '9007199254740993'], 'Expected a whole number of at least 1.'],
  [linesASecond, ['0', 'fast', '-1', '1e3', ''], 'Expected a number of lines a second greater than 0, as 5000 or 0.5.'],
  [day, ['2025-02-30', '2025-2-3', 'today', ''], 'Expected a day that exists, as YYYY-MM-DD.'],
])('what is none is refused in words that say what is expected: %#', (read, texts, words) => {
  for (const text of texts) expect(() => read(text), text).toThrow(words);
});
