import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { DownloadError, MissingPrerequisiteError } from './errors.ts';
import { withLock } from './lock.ts';

/** Where downloads are kept, for all checkouts of this user: `$XDG_CACHE_HOME/whence`, or `~/.cache/whence`. */
export function cacheFolder(): string {
  return path.join(process.env['XDG_CACHE_HOME'] || path.join(os.homedir(), '.cache'), 'whence');
}

/**
 * The folder `name` of the cache, filled by `fetch` where it is not there yet. It is filled aside and renamed when
 * complete, so a download that was cut off leaves nothing; of several processes, one fetches and the others wait.
 *
 * @throws what `fetch` throws
 */
export async function fetchOnce(
  name: string,
  fetch: (folder: string) => Promise<void>,
  say: (line: string) => void,
): Promise<string> {
  const folder = path.join(cacheFolder(), name);
  if (fs.existsSync(folder)) return folder;
  const fill = async () => {
    if (fs.existsSync(folder)) return;
    removePartial(folder);
    const aside = `${folder}.${randomUUID()}.partial`;
    fs.mkdirSync(aside, { recursive: true });
    try {
      say(`downloading ${name} to ${folder}`);
      const start = Date.now();
      await fetch(aside);
      fs.renameSync(aside, folder);
      say(`downloaded ${name} in ${((Date.now() - start) / 1000).toFixed(1)} s`);
    } finally {
      fs.rmSync(aside, { recursive: true, force: true });
    }
  };
  await withLock(`${folder}.lock`, fill, (pid) => say(`waiting for process ${pid}, which downloads ${name}`));
  return folder;
}

/** What earlier downloads left that were killed. */
function removePartial(folder: string): void {
  const begin = `${path.basename(folder)}.`;
  for (const name of fs.readdirSync(path.dirname(folder))) {
    if (name.startsWith(begin) && name.endsWith('.partial')) {
      fs.rmSync(path.join(path.dirname(folder), name), { recursive: true, force: true });
    }
  }
}

/**
 * Runs a program that downloads.
 *
 * @throws DownloadError with the end of its output, where it fails
 */
export async function download(
  what: string,
  command: string,
  args: readonly string[],
  advice: string,
  env: NodeJS.ProcessEnv = {},
): Promise<void> {
  const result = await execa(command, args, { all: true, reject: false, stdin: 'ignore', env });
  if (result.failed) {
    throw new DownloadError(what, [command, ...args].join(' '), result.all || result.message || '', advice);
  }
}

/**
 * Installs a package from PyPI into a folder of its own, without touching any Python environment.
 *
 * @throws MissingPrerequisiteError without Python 3 and pip, DownloadError
 */
export async function pipInstall(requirement: string, folder: string, neededFor: string): Promise<void> {
  const python = (await execa('python3', ['-m', 'pip', '--version'], { reject: false })).failed ? null : 'python3';
  if (python === null) {
    throw new MissingPrerequisiteError(
      'Python 3 with pip',
      neededFor,
      'install both (on Debian and Ubuntu: apt-get install python3-pip; on macOS: brew install python)',
    );
  }
  const options = ['--quiet', '--disable-pip-version-check', '--no-input', '--root-user-action=ignore'];
  await download(
    requirement,
    python,
    ['-m', 'pip', 'install', ...options, '--target', folder, requirement],
    'check the network, and the index that pip is set to use',
  );
}
