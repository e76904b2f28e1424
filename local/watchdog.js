// Ends the servers of a test when the test is gone, however it ended. Its standard input is a pipe that only the test
// process holds: the end of it is the end of the test, even by kill −9. Plain JavaScript, because it must start fast and
// alone. Lines: {"add": runnable} and {"removeFolder": path}, as `watchOver` in testing.ts writes them.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import readline from 'node:readline';

const runnables = [];
const folders = [];
// What ends the test (a Ctrl-C reaches the whole group) must not end its watchdog first.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => {});

for await (const line of readline.createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
  if (message.add) runnables.push(message.add);
  if (message.removeFolder) folders.push(message.removeFolder);
}
for (const runnable of runnables) kill(runnable);
await new Promise((resolve) => setTimeout(resolve, 1_000));
for (const folder of folders) fs.rmSync(folder, { recursive: true, force: true });

function kill(runnable) {
  try {
    if (runnable.kind === 'container') {
      execFileSync('docker', ['rm', '--force', runnable.id], { stdio: 'ignore' });
      execFileSync('docker', ['volume', 'rm', '--force', runnable.volume], { stdio: 'ignore' });
    } else if (identity(runnable.pid) === runnable.identity) {
      process.kill(runnable.pid, 'SIGKILL');
    }
  } catch {
    // Gone already.
  }
}

// As `processIdentity` in process.ts.
function identity(pid) {
  if (process.platform !== 'linux') {
    const output = execFileSync('ps', ['-o', 'state=,lstart=', '-p', String(pid)], { encoding: 'utf8' });
    return output.trim().split(/\s+/).slice(1).join(' ');
  }
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
  const boot = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return `${boot}/${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`;
}
