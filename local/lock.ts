import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processIdentity } from './process.ts';

interface Holder {
  pid: number;
  identity: string;
}

/**
 * Runs `work` while no other process on this machine runs under the same lock file. A holder that was killed does not
 * block: it is known by its pid and when it began.
 *
 * @param onWait told the pid of the holder, once, where it has to wait
 */
export async function withLock<Result>(
  file: string,
  work: () => Promise<Result>,
  onWait: (holder: number) => void = () => {},
): Promise<Result> {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  let told = false;
  while (!take(file)) {
    const holder = read(file);
    if (holder !== null && processIdentity(holder.pid) === holder.identity) {
      if (!told) onWait(holder.pid);
      told = true;
      await sleep(100);
    } else if (holder !== null) {
      discard(file, holder);
    }
  }
  try {
    return await work();
  } finally {
    fs.rmSync(file, { force: true });
  }
}

/** The file appears with its content at once, so that nobody reads half of it. */
function take(file: string): boolean {
  const aside = `${file}.${randomUUID()}`;
  fs.writeFileSync(aside, JSON.stringify({ pid: process.pid, identity: processIdentity(process.pid) }));
  try {
    fs.linkSync(aside, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    fs.rmSync(aside, { force: true });
  }
}

/** Moves a dead holder's file away; where another process was faster and holds the lock by now, puts that back. */
function discard(file: string, dead: Holder): void {
  const aside = `${file}.${randomUUID()}`;
  try {
    fs.renameSync(file, aside);
  } catch {
    return;
  }
  const moved = read(aside);
  if (moved?.pid !== dead.pid || moved.identity !== dead.identity) {
    try {
      fs.linkSync(aside, file);
    } catch {
      // Yet another holds it now.
    }
  }
  fs.rmSync(aside, { force: true });
}

function read(file: string): Holder | null {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8')) as Holder;
  } catch {
    return null;
  }
}
