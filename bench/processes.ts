/** What Linux says of processes, for benches. */

import { readFileSync, readdirSync } from 'node:fs';

const TICKS_A_SECOND = 100;

/** CPU seconds of a process and of all its children that have ended, with those that live. */
export function cpuOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const own = (fields[11] + fields[12] + fields[13] + fields[14]) / TICKS_A_SECOND;
  return childrenOf(pid).reduce((sum, child) => sum + safely(() => cpuOf(child)), own);
}

export function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => safely(() => Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${name}/stat`, 'utf8'))?.[1])) === pid)
    .map(Number);
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
