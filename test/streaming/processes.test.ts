import { pino } from 'pino';
import { expect, test } from 'vitest';
import { Processes, ProcessesFailedError } from '../../streaming/processes.ts';

const log = pino({ level: 'silent' });

/** Processes that run a line of JavaScript. */
function run(line: string, endByThemselves = true, count = 2): Processes {
  return new Processes({ count, command: [process.execPath, '-e', line], env: process.env, log, endByThemselves });
}

test('one that ends with an error of its own fails all', async () => {
  const processes = run('setTimeout(() => process.exit(3), 20)');
  await expect(processes.done).rejects.toThrow(ProcessesFailedError);
  await expect(processes.done).rejects.toThrow(/exit code 3/);
});

test('one that fails while all are stopped fails all', async () => {
  const processes = run("process.on('SIGTERM', () => process.exit(4)); setInterval(() => {}, 1000)", false);
  await new Promise((resolve) => setTimeout(resolve, 300));
  await processes.stop();
  await expect(processes.done).rejects.toThrow(/exit code 4/);
});

test('those that end when their work is done are no failure', async () => {
  await expect(run('').done).resolves.toBeUndefined();
});

test('those that are stopped are no failure', async () => {
  const processes = run("process.on('SIGTERM', () => process.exit(0)); setInterval(() => {}, 1000)", false);
  await new Promise((resolve) => setTimeout(resolve, 300));
  await processes.stop();
  await expect(processes.done).resolves.toBeUndefined();
});
