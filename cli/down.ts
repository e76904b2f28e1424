import { Command } from 'commander';
import { stopStack } from '../local/stop-stack.ts';
import { readSettings } from '../platform/settings.ts';

// Standard output is for the answer alone.
const say = (line: string) => void process.stderr.write(`${line}\n`);

/** `whence down`: ends the servers that `up` started, and nothing else. */
export function downCommand(): Command {
  return new Command('down')
    .description('stop the servers that "up" started for this data folder')
    .option('--delete-data', 'also delete what these servers keep (the archive and the datasets stay)')
    .action(async (options: { deleteData?: boolean }) => {
      const { dataDir } = readSettings(process.env);
      await stopStack(dataDir, { deleteData: options.deleteData ?? false, say });
      const named = ['DATABASE_URL', 'KAFKA_BROKERS', 'TEMPORAL_ADDRESS'].filter((name) => process.env[name]);
      if (named.length > 0) say(`This shell still names servers; before the next "up" here: unset ${named.join(' ')}`);
    });
}
