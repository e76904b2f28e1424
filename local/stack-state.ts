import fs from 'node:fs';
import path from 'node:path';
import { isRunning } from './process.ts';
import type { ServiceHandle, ServiceName } from './service.ts';

/** What is known of a server that `up` started: enough to find it, to end it, and to start it again the same. */
export interface ServiceRecord extends ServiceHandle {
  /** ISO-8601; for people. */
  startedAt: string;
}

/** The servers that `up` started for one data folder, by name. */
export type StackState = Partial<Record<ServiceName, ServiceRecord>>;

/** Where the local servers of a data folder keep everything. */
export function stackFolder(dataDir: string): string {
  return path.join(dataDir, 'local');
}

/** Held while the stack is being changed. */
export function stackLock(dataDir: string): string {
  return path.join(stackFolder(dataDir), 'stack.lock');
}

/** A file that does not say a stack (cut off, or of another format) is an empty one: its servers cannot be known. */
export function readStackState(dataDir: string): StackState {
  try {
    const { services } = JSON.parse(fs.readFileSync(stateFile(dataDir), 'utf8')) as { services?: StackState };
    return services ?? {};
  } catch {
    return {};
  }
}

/** What of it runs now. */
export function runningServices(dataDir: string): StackState {
  const running = Object.entries(readStackState(dataDir)).filter(([, record]) => isRunning(record.runnable));
  return Object.fromEntries(running) as StackState;
}

/** Readable for the owner only, replaced at once. The lock must be held. */
export function writeStackState(dataDir: string, services: StackState): void {
  const file = stateFile(dataDir);
  if (Object.keys(services).length === 0) {
    fs.rmSync(file, { force: true });
    return;
  }
  fs.writeFileSync(`${file}.new`, `${JSON.stringify({ services }, null, 2)}\n`, { mode: 0o600 });
  fs.renameSync(`${file}.new`, file);
}

function stateFile(dataDir: string): string {
  return path.join(stackFolder(dataDir), 'stack.json');
}
