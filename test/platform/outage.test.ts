import { expect, test } from 'vitest';
import { createLogger } from '../../platform/log.ts';
import { Outage } from '../../platform/outage.ts';

test('an outage is one line at its begin and one when the last that waited goes on, and so is the next', () => {
  const lines: object[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line) as object) };
  const outage = new Outage(createLogger({ name: 'test', level: 'info', secrets: [], destination }));
  outage.ended('never waited');
  outage.began('task 1', new Error('refused'));
  outage.began('task 2', new Error('refused'));
  outage.began('task 1', new Error('refused'));
  outage.ended('task 1');
  expect(lines).toMatchObject([{ level: 40, part: 'task 1', err: { message: 'refused' } }]);
  outage.ended('task 2');
  outage.ended('task 2');
  expect(lines.slice(1)).toMatchObject([{ level: 30, parts: ['task 1', 'task 2'] }]);
  outage.began('task 2', new Error('refused'));
  outage.ended('task 2');
  expect(lines.slice(2)).toMatchObject([{ level: 40 }, { level: 30, parts: ['task 2'] }]);
});
