import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { InaccessibleFolderError, MissingPrerequisiteError } from './errors.ts';

const run = promisify(execFile);
const USER = 'postgres';

/** Whom Postgres runs as where that is not ourselves. */
export interface RunAs {
  uid: number;
  gid: number;
}

/**
 * The user for Postgres: null (ourselves), or where we are root, which Postgres refuses, `postgres`, made if missing.
 *
 * @throws MissingPrerequisiteError where we are root and there is no such user, and none can be made
 */
export async function postgresUser(): Promise<RunAs | null> {
  if (process.getuid?.() !== 0) return null;
  const existing = await lookUp();
  if (existing !== null) return existing;
  try {
    await run('useradd', ['--system', '--user-group', '--no-create-home', USER]);
  } catch (error) {
    // Someone else may have made it meanwhile.
    const made = await lookUp();
    if (made !== null) return made;
    throw new MissingPrerequisiteError(
      `the user "${USER}"`,
      'a local Postgres, which does not run as root',
      `it could not be made (${(error as Error).message}); make it, run as another user, or set DATABASE_URL`,
    );
  }
  return await lookUp();
}

async function lookUp(): Promise<RunAs | null> {
  try {
    const [uid, gid] = await Promise.all(['-u', '-g'].map((flag) => run('id', [flag, USER])));
    return { uid: Number(uid?.stdout), gid: Number(gid?.stdout) };
  } catch {
    return null;
  }
}

/** Makes a folder and those above it. Where we are root, another user may pass through them, whatever the umask says. */
export function makeFolder(folder: string): void {
  const first = fs.mkdirSync(folder, { recursive: true });
  if (first === undefined || process.getuid?.() !== 0) return;
  for (let made = folder; made.length >= first.length; made = path.dirname(made)) fs.chmodSync(made, 0o711);
}

/**
 * Makes sure that a user may enter every folder on the way to a file or folder.
 *
 * @throws InaccessibleFolderError which names the first folder that is closed
 */
export function assertReachable(target: string, user: RunAs, wanted: string, whatToDo: string): void {
  const folders: string[] = [];
  const resolved = fs.realpathSync(target);
  const innermost = fs.statSync(resolved).isDirectory() ? resolved : path.dirname(resolved);
  for (let folder = innermost; ; folder = path.dirname(folder)) {
    folders.unshift(folder);
    if (folder === path.dirname(folder)) break;
  }
  for (const folder of folders) {
    const { mode, uid, gid } = fs.statSync(folder);
    const execute = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
    if ((mode & execute) === 0) throw new InaccessibleFolderError(folder, USER, `${wanted} (${resolved})`, whatToDo);
  }
}
