// The command with `up` and `down` alone, to be run as a process of its own.
import { Command } from 'commander';
import { downCommand } from '../../cli/down.ts';
import { upCommand } from '../../cli/up.ts';

try {
  await new Command('whence').addCommand(upCommand()).addCommand(downCommand()).parseAsync();
} catch (error) {
  process.stderr.write(`${(error as Error).name}: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
