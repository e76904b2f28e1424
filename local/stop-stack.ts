import fs from 'node:fs';
import path from 'node:path';
import { removeKafkaVolume } from './kafka-container.ts';
import { withLock } from './lock.ts';
import { end, isRunning, signalTree } from './process.ts';
import { POLITE_SIGNALS, SERVICE_TITLES, type ServiceName } from './service.ts';
import { describe } from './stack-parts.ts';
import { readStackState, stackFolder, stackLock, writeStackState, type ServiceRecord } from './stack-state.ts';

const STOP_BOUND_MS = 15_000;

export interface StopOptions {
  /** Deletes what the local servers keep; the archive and the datasets stay. */
  deleteData?: boolean;
  say: (line: string) => void;
}

/**
 * Ends the servers that `up` started for a data folder, and nothing else: a process that merely has the pid of one of
 * them now is not touched. One that does not end within 15 s is killed.
 */
export async function stopStack(dataDir: string, options: StopOptions): Promise<void> {
  const folder = stackFolder(dataDir);
  if (!fs.existsSync(folder)) {
    options.say(`nothing was started in ${folder}`);
    return;
  }
  await withLock(stackLock(dataDir), async () => {
    const records = Object.entries(readStackState(dataDir)) as [ServiceName, ServiceRecord][];
    if (records.length === 0) options.say(`nothing runs that was started in ${folder}`);
    await Promise.all(records.map(([name, record]) => stopService(name, record, options.say)));
    writeStackState(dataDir, {});
    if (options.deleteData) deleteData(folder, options.say);
  });
}

async function stopService(name: ServiceName, { runnable }: ServiceRecord, say: (line: string) => void): Promise<void> {
  const title = SERVICE_TITLES[name];
  if (!isRunning(runnable)) {
    say(`${title}: ${describe(runnable)} had ended already`);
    // Of a container, the husk.
    if (runnable.kind === 'container') await end(runnable, 'SIGKILL', 0);
    return;
  }
  signalTree(runnable, 'SIGCONT');
  await end(runnable, POLITE_SIGNALS[name], STOP_BOUND_MS);
  say(`${title}: ended (${describe(runnable)})`);
}

function deleteData(folder: string, say: (line: string) => void): void {
  removeKafkaVolume(path.join(folder, 'kafka'));
  // The lock, which is ours now, goes last and by itself.
  for (const name of fs.readdirSync(folder).filter((entry) => !entry.startsWith('stack.lock'))) {
    fs.rmSync(path.join(folder, name), { recursive: true, force: true });
  }
  say(`deleted the data of the local servers in ${folder}`);
}
