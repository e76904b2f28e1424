import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { Processes, ProcessesFailedError } from '../../streaming/processes.ts';

const log = pino({ level: 'silent' });

/** Processes that run a line of JavaScript. */
function run(line: string, endByThemselves = true, count = 2): Processes {
  return new Processes({ count, command: [process.execPath, '-e', line], env: process.env, log, endByThemselves });
}

/** Two processes that run until they are told to end, and then, after a while, end with this code; told again, with another. */
async function runUntilTold(code: number, afterMs = 0): Promise<Processes> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'whence-processes-'));
  onTestFinished(() => fs.rmSync(folder, { recursive: true }));
  const processes = run(
    `process.on('SIGTERM', () => {
       process.on('SIGTERM', () => process.exit(9));
       setTimeout(() => process.exit(${code}), ${afterMs});
     });
     setInterval(() => {}, 1000);
     require('node:fs').writeFileSync(${JSON.stringify(folder)} + '/' + process.pid, '');`,
    false,
  );
  while (fs.readdirSync(folder).length < 2) await sleep(20);
  return processes;
}

test('one that ends with an error of its own fails all', async () => {
  const processes = run('setTimeout(() => process.exit(3), 20)');
  await expect(processes.done).rejects.toThrow(ProcessesFailedError);
  await expect(processes.done).rejects.toThrow(/exit code 3/);
});

test('one that fails while all are stopped fails all', async () => {
  const processes = await runUntilTold(4);
  await processes.stop();
  await expect(processes.done).rejects.toThrow(/exit code 4/);
});

test('those that end when their work is done are no failure', async () => {
  await expect(run('').done).resolves.toBeUndefined();
});

test('those that are stopped are no failure', async () => {
  const processes = await runUntilTold(0);
  await processes.stop();
  await expect(processes.done).resolves.toBeUndefined();
});

test('stopped twice, they get one signal: a second would end them before they have committed', async () => {
  const processes = await runUntilTold(0, 300);
  await Promise.all([processes.stop(), processes.stop()]);
  await processes.stop();
  await expect(processes.done).resolves.toBeUndefined();
});
