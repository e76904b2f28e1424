import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * A process that we started. `identity` says which one: the kernel gives the pid to others once it has ended, and those we
 * must never signal.
 */
export interface OwnProcess {
  kind: 'process';
  pid: number;
  identity: string;
}

/** A container that we started; docker's ids are never given twice. */
export interface OwnContainer {
  kind: 'container';
  id: string;
  /** The volume of its data. */
  volume: string;
}

export type Runnable = OwnProcess | OwnContainer;

export interface SpawnOptions {
  command: string;
  args: readonly string[];
  /** Standard output and error; emptied first. */
  logFile: string;
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  uid?: number;
  gid?: number;
}

/**
 * Starts a process that outlives this one, in a process group of its own, so that a Ctrl-C meant for us does not reach it.
 *
 * @throws Error of the operating system where the command cannot be run
 */
export async function spawnDetached(options: SpawnOptions): Promise<OwnProcess> {
  const log = fs.openSync(options.logFile, 'w', 0o644);
  try {
    const child = spawn(options.command, options.args, {
      detached: true,
      stdio: ['ignore', log, log],
      ...(options.cwd !== undefined && { cwd: options.cwd }),
      ...(options.env !== undefined && { env: options.env }),
      ...(options.uid !== undefined && { uid: options.uid }),
      ...(options.gid !== undefined && { gid: options.gid }),
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.unref();
    const pid = child.pid as number;
    // Already gone: its identity can be anything, no process has it.
    return { kind: 'process', pid, identity: processIdentity(pid) ?? 'ended' };
  } finally {
    fs.closeSync(log);
  }
}

/** When the process with this pid began, in words of the operating system, or null where no such process runs. */
export function processIdentity(pid: number): string | null {
  if (process.platform === 'linux') {
    const fields = statFields(pid);
    if (fields === null || (fields.state === 'Z' && !hasThreads(pid))) return null;
    return `${bootId()}/${fields.startTicks}`;
  }
  try {
    const output = execFileSync('ps', ['-o', 'state=,lstart=', '-p', String(pid)], { encoding: 'utf8', stdio: 'pipe' });
    const [state = 'Z', ...started] = output.trim().split(/\s+/);
    return state.startsWith('Z') ? null : started.join(' ');
  } catch {
    return null;
  }
}

export function isRunning(runnable: Runnable): boolean {
  if (runnable.kind === 'process') return processIdentity(runnable.pid) === runnable.identity;
  return docker(['inspect', '--format', '{{.State.Running}}', runnable.id])?.trim() === 'true';
}

/** Sends a signal to what we started, if it still runs. Returns whether it did. */
export function signal(runnable: Runnable, name: NodeJS.Signals): boolean {
  if (!isRunning(runnable)) return false;
  if (runnable.kind === 'container') return docker(['kill', '--signal', name, runnable.id]) !== null;
  try {
    process.kill(runnable.pid, name);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/**
 * Stops (SIGSTOP) or continues (SIGCONT) what we started with all its children: a Postgres whose postmaster alone is
 * stopped still answers on its open connections.
 */
export function signalTree(runnable: Runnable, name: 'SIGSTOP' | 'SIGCONT'): boolean {
  if (!isRunning(runnable)) return false;
  if (runnable.kind === 'container') return docker([name === 'SIGSTOP' ? 'pause' : 'unpause', runnable.id]) !== null;
  for (const pid of [runnable.pid, ...descendants(runnable.pid)]) {
    try {
      process.kill(pid, name);
    } catch {
      // It ended between our look and our signal.
    }
  }
  return true;
}

/**
 * Ends what we started: politely, and after `boundMs` with SIGKILL. Returns once it and its children are gone.
 */
export async function end(runnable: Runnable, politeSignal: NodeJS.Signals, boundMs: number): Promise<void> {
  const children =
    runnable.kind === 'process' && isRunning(runnable)
      ? descendants(runnable.pid).map((pid) => ({ pid, identity: processIdentity(pid) }))
      : [];
  if (boundMs > 0 && signal(runnable, politeSignal)) await waitUntil(() => !isRunning(runnable), boundMs);
  if (signal(runnable, 'SIGKILL')) await waitUntil(() => !isRunning(runnable), 10_000);
  // Children end by themselves when their parent is gone (Postgres's do); data can be used again only then.
  const gone = () => children.every(({ pid, identity }) => identity === null || processIdentity(pid) !== identity);
  if (!(await waitUntil(gone, 5_000))) {
    for (const { pid, identity } of children) {
      if (identity !== null && processIdentity(pid) === identity) process.kill(pid, 'SIGKILL');
    }
    await waitUntil(gone, 5_000);
  }
  if (runnable.kind === 'container') docker(['rm', '--force', runnable.id]);
}

/** The pids of all children of a process, theirs included. */
export function descendants(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const [child, parent] of parents()) children.set(parent, [...(children.get(parent) ?? []), child]);
  const found: number[] = [];
  for (const queue = [pid]; queue.length > 0;) {
    const next = children.get(queue.shift() as number) ?? [];
    found.push(...next);
    queue.push(...next);
  }
  return found;
}

/** Looks every 20 ms. Returns whether the condition came true within the bound. */
export async function waitUntil(condition: () => boolean, boundMs: number): Promise<boolean> {
  const deadline = Date.now() + boundMs;
  while (!condition()) {
    if (Date.now() > deadline) return false;
    await sleep(20);
  }
  return true;
}

function parents(): [number, number][] {
  if (process.platform === 'linux') {
    return fs
      .readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((name): [number, number][] => {
        const fields = statFields(Number(name));
        return fields === null ? [] : [[Number(name), fields.parent]];
      });
  }
  const output = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' });
  return output
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number) as [number, number]);
}

function statFields(pid: number): { state: string; parent: number; startTicks: string } | null {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the command in parentheses, with whatever characters it likes.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0] ?? '', parent: Number(fields[1]), startTicks: fields[19] ?? '' };
  } catch {
    return null;
  }
}

/**
 * A zombie has ended, and nobody has asked yet how; but a killed process whose first thread is gone also shows as one
 * while the others are still being ended, and holds its ports until they are.
 */
function hasThreads(pid: number): boolean {
  try {
    return fs.readdirSync(`/proc/${pid}/task`).length > 1;
  } catch {
    return false;
  }
}

let cachedBootId: string | undefined;
function bootId(): string {
  cachedBootId ??= fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return cachedBootId;
}

/** What docker printed, or null where it failed. */
export function docker(args: readonly string[]): string | null {
  try {
    return execFileSync('docker', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 30_000 });
  } catch {
    return null;
  }
}
