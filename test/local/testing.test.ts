import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { descendants, isRunning, processIdentity, waitUntil, type OwnProcess } from '../../local/process.ts';
import { createDatabase, startTestStack, type TestStack } from '../../local/testing.ts';
import { openClient } from '../../platform/postgres.ts';

let stack: TestStack<'postgres'>;
beforeAll(async () => {
  stack = await startTestStack({ services: ['postgres'] });
});
afterAll(async () => stack?.stop());

describe('a test stack', () => {
  test('brings a server that was killed −9 back with its port and data', async () => {
    const url = await createDatabase(stack.postgres.databaseUrl);
    const before = await openClient(url, 'test');
    await before.query('create table kept as select 42 as n');
    const lost = stack.postgres;
    const children = descendants((lost.runnable as OwnProcess).pid);
    await lost.kill();
    expect(lost.isRunning()).toBe(false);
    expect(children.filter((pid) => processIdentity(pid) !== null)).toEqual([]);
    await stack.restart('postgres');
    expect(stack.postgres.port).toBe(lost.port);
    const after = await openClient(url, 'test');
    expect((await after.query('select n from kept')).rows).toEqual([{ n: 42 }]);
    await after.end();
  });

  test('can make a server hold its connections and answer nothing, and let it go on', async () => {
    const client = await openClient(stack.postgres.databaseUrl, 'test');
    stack.postgres.pause();
    const query = client.query('select 1 as one');
    expect(await Promise.race([query, sleep(300, 'nothing')])).toBe('nothing');
    stack.postgres.resume();
    expect((await query).rows).toEqual([{ one: 1 }]);
    await client.end();
  });

  test('leaves no process and no file when its test is killed −9', async () => {
    const script = `
      import { startTestStack } from ${JSON.stringify(new URL('../../local/testing.ts', import.meta.url).href)};
      const { directory, postgres } = await startTestStack({ services: ['postgres'] });
      console.log(JSON.stringify({ directory, runnable: postgres.runnable }));
      process.kill(process.pid, 'SIGKILL');`;
    const child = await execa('node', ['--import', 'tsx', '--input-type=module', '--eval', script], { reject: false });
    expect(child.signal).toBe('SIGKILL');
    const left = JSON.parse(child.stdout) as { directory: string; runnable: OwnProcess };
    expect(await waitUntil(() => !isRunning(left.runnable), 60_000)).toBe(true);
    expect(await waitUntil(() => !fs.existsSync(left.directory), 60_000)).toBe(true);
  });

  test('leaves no process and no file when it is stopped', async () => {
    const other = await startTestStack({ services: ['postgres'] });
    expect(fs.existsSync(path.join(other.directory, 'postgres'))).toBe(true);
    await other.stop();
    expect(other.postgres.isRunning()).toBe(false);
    expect(fs.existsSync(other.directory)).toBe(false);
  });
});
