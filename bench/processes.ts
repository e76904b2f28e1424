/** What Linux says of processes, for benches. */

import { readdirSync, readFileSync } from 'node:fs';

const TICKS_A_SECOND = 100;

/** CPU seconds of a process and of all its children that have ended, with those that live. */
export function cpuOf(pid: number): number {
  const { own, ended } = timesOf(pid);
  return childrenOf(pid).reduce((sum, child) => sum + safely(() => cpuOf(child)), own + ended);
}

/** CPU seconds of the children of this process that have ended, and of theirs. */
export function cpuOfEnded(): number {
  return timesOf(process.pid).ended;
}

function timesOf(pid: number) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const ticks = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  return { own: (ticks[11] + ticks[12]) / TICKS_A_SECOND, ended: (ticks[13] + ticks[14]) / TICKS_A_SECOND };
}

/** CPU seconds that this machine, where it is a virtual one, wanted and others of its host had. */
export function stolenCpu(): number {
  const [, all] = /^cpu +(.*)/.exec(readFileSync('/proc/stat', 'utf8')) ?? ['', ''];
  return Number(all.split(' ')[7] ?? 0) / TICKS_A_SECOND;
}

/** Those that it started, by whichever thread, and that live; none where it has ended. */
export function childrenOf(pid: number): number[] {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const lists = threads.map((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8'));
    return lists.join(' ').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** A process may end between two looks at it. */
export function safely(look: () => number): number {
  try {
    return look();
  } catch {
    return 0;
  }
}

/** The most memory that a process has had resident, or has now. */
export function residentMb(pid: number, which: 'VmHWM' | 'VmRSS'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`${which}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1000;
}
