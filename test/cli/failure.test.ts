import { describe as group, expect, test } from 'vitest';
import { describe, UsageError } from '../../cli/failure.ts';
import { printable, table } from '../../cli/output.ts';
import { balanceOf } from '../../observe/ledger.ts';
import { SettingsError } from '../../platform/settings.ts';

group('an error is told', () => {
  test('by its message alone where it was foreseen', () => {
    expect(describe(new UsageError('Give another file'))).toBe('error: Give another file');
    const problem = { name: 'DATABASE_URL', found: null, expected: 'postgres://user:password@host:port/database' };
    expect(describe(new SettingsError([problem]))).toContain('postgres://user:password@host:port/database');
  });

  test('with its stack and causes where it was not, but without credentials', () => {
    const cause = new TypeError('x of undefined');
    const text = describe(new Error('at postgres://whence:sesame@host/db', { cause }));
    expect(text).toMatch(/^error: unexpected: Error: at postgres:\/\/whence:\*\*\*@host\/db\n\s+at /);
    expect(text).toMatch(/Caused by: TypeError: x of undefined\n\s+at /);
    expect(describe('a text')).toBe('error: unexpected: a text');
  });

  test('in words where a server that was there went away', () => {
    const error = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:9092'), { name: 'KafkaJSConnectionError' });
    expect(describe(error)).toBe(
      'error: Kafka went away (connect ECONNREFUSED 127.0.0.1:9092); check that it runs, and do the same again',
    );
  });

  test.each([new TypeError('x'), Object.assign(new Error('x'), { name: 'KafkaJSProtocolError' })])(
    '%s is none of ours',
    (error) => {
      expect(describe(error)).toContain('unexpected');
    },
  );
});

group('output', () => {
  test('a table aligns texts to the left and counts to the right', () => {
    const rows = [
      { topic: 'impressions', count: 1_234, field: null },
      { topic: 'p', count: 5, field: 'origin' },
    ];
    expect(table(rows)).toBe(
      ['  topic        count  field', '  impressions  1,234  -', '  p                5  origin'].join('\n'),
    );
  });

  test('what others wrote can do nothing to a terminal', () => {
    expect(printable('a\u001b[31mb\nc\u202ed')).toBe(String.raw`a\u001b[31mb\u000ac\u202ed`);
    expect(printable('Amélie 千と千尋 😀')).toBe('Amélie 千と千尋 😀');
  });
});

group('records counted and records read', () => {
  const position = { topic: 't', partition: 0, delivered: 10, lag: 0 };
  test.each([
    ['are the same', { committed: 10, consumed: 10, log_begins: 4 }, 'exact'],
    ['differ by offsets without a record', { committed: 10, consumed: 8, log_begins: 0 }, 'gaps'],
    ['cannot be compared once the log was trimmed', { committed: 10, consumed: 8, log_begins: 2 }, 'unknown'],
    ['cannot be compared without Kafka', { committed: 10, consumed: 8, log_begins: null }, 'unknown'],
    ['are never more', { committed: 10, consumed: 11, log_begins: 0 }, 'wrong'],
  ] as const)('%s', (_, counts, expected) => {
    expect(balanceOf({ ...position, ...counts })).toBe(expected);
  });
});
