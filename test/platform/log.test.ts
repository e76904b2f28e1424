import { describe, expect, test } from 'vitest';
import { createLogger } from '../../platform/log.ts';

function logOf(secrets: string[], write: (log: ReturnType<typeof createLogger>) => void): string {
  const lines: string[] = [];
  write(
    createLogger({ name: 'test', level: 'info', secrets, destination: { write: (line) => void lines.push(line) } }),
  );
  return lines.join('');
}

describe('the log', () => {
  test('writes JSON lines with level, time and name', () => {
    const line = JSON.parse(logOf([], (log) => log.info({ partition: 3 }, 'took a task'))) as Record<string, unknown>;
    expect(line).toMatchObject({ name: 'test', level: 30, partition: 3, msg: 'took a task' });
    expect(line['time']).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
  });

  test('never shows a known secret, in messages, fields, nested causes or encoded', () => {
    const output = logOf(['s3"cret p@ss'], (log) => {
      log.info('connecting with s3"cret p@ss');
      log.info({ url: `https://x/?key=${encodeURIComponent('s3"cret p@ss')}` }, 'encoded');
      log.error({ err: new Error('outer', { cause: new Error('tried s3"cret p@ss') }) }, 'failed');
    });
    expect(output).not.toContain('cret');
    expect(output).toContain('connecting with ***');
  });

  test('hides the password of any connection string, known or not, even one with an unencoded @', () => {
    const output = logOf([], (log) => log.info('at postgres://me:hunt@er22@db:5432/whence and password=hunter22 too'));
    expect(output).toContain('at postgres://me:***@db:5432/whence and password=*** too');
  });

  test('hides fields that are named as credentials', () => {
    const output = logOf([], (log) => log.info({ sasl: { password: 'abc' }, kafka: { apiKey: 'def' } }, 'options'));
    expect(output).not.toMatch(/abc|def/);
  });
});
