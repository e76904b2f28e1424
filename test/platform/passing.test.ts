import { expect, test } from 'vitest';
import { isPassing, isStoragePassing } from '../../platform/passing.ts';

const withCode = (code: string) => Object.assign(new Error('said by the server'), { code });

test.each([
  ['53100', 'disk full'],
  ['53200', 'out of memory'],
  ['53300', 'too many connections'],
  ['57P01', 'shut down by its administrator'],
  ['57P02', 'shut down by a crash'],
  ['57P03', 'starting up, or shutting down'],
  ['08006', 'connection lost'],
  ['40001', 'not serialisable'],
  ['40P01', 'deadlock'],
  ['ECONNREFUSED', 'nobody listens'],
])('%s (%s) passes by itself', (code) => {
  expect(isPassing(withCode(code))).toBe(true);
});

test.each([
  ['23505', 'unique violation'],
  ['42601', 'syntax error'],
  ['42P01', 'no such table'],
  ['28P01', 'wrong password'],
  ['3D000', 'no such database'],
  ['54000', 'a limit of the program'],
])('%s (%s) would fail the same way for ever', (code) => {
  expect(isPassing(withCode(code))).toBe(false);
});

test('a connection that ended under a query passes, though it has no code', () => {
  expect(isPassing(new Error('Connection terminated unexpectedly'))).toBe(true);
  expect(isPassing(new Error('the plays do not add up'))).toBe(false);
});

test.each([
  ['a full disk', withCode('ENOSPC'), true],
  ['a full disk, as DuckDB says it', new Error('IO Error: Could not write file "x": No space left on device'), true],
  ['a disk that was mounted read-only', withCode('EROFS'), true],
  ['a store that is away', withCode('ECONNREFUSED'), true],
  [
    'a store that has too much to do',
    Object.assign(new Error('Slow down'), { $metadata: { httpStatusCode: 503 } }),
    true,
  ],
  ['a folder that is gone', withCode('ENOENT'), false],
  ['a folder that is not ours', withCode('EACCES'), false],
  ['a bucket that is not ours', Object.assign(new Error('denied'), { $metadata: { httpStatusCode: 403 } }), false],
])('of the storage, %s', (_, error, passes) => {
  expect(isStoragePassing(error)).toBe(passes);
});
