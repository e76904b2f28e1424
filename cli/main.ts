import { Command } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { COMMANDS } from './commands.ts';
import { endQuietlyOnClosedPipe, fail } from './failure.ts';

const EXAMPLES = `
From nothing to the first answers:
  eval "$(npx whence up)"                                start the servers, and set their addresses in this shell
  npx whence migrate                                     make the tables
  npx whence simulate --profiles 500 --out day.ndjson    a day of lifelike events
  npx whence send day.ndjson                             put them on Kafka
  npx whence stream --until-caught-up                    attribute the plays
  psql "$DATABASE_URL" -c "select * from whence.daily_discovery order by discoveries desc limit 10"

Your own events work in the same way: one JSON object a line. "npx whence COMMAND --help" says more of each command.`;

/** The program, with the chosen command loaded; the others are only named, so that starting stays quick. */
async function createProgram(args: readonly string[]): Promise<Command> {
  const program = new Command('whence')
    .usage('COMMAND [options]')
    .description('Which homepage row made a member discover each title they play.')
    .version(packageJson.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this, or the help of a command')
    // Without the implied "help COMMAND", which works all the same.
    .configureHelp({ visibleCommands: ({ commands }) => [...commands] })
    .showHelpAfterError('(add --help for what is possible)')
    .addHelpText('after', EXAMPLES);
  const words = args.filter((arg) => !arg.startsWith('-'));
  const chosen = words[0] === 'help' ? words[1] : words[0];
  for (const { name, group, summary, load } of COMMANDS) {
    const command = name === chosen ? await load() : new Command(name).usage('[options]');
    program.addCommand(command.copyInheritedSettings(program).helpGroup(group).summary(summary));
  }
  return program;
}

endQuietlyOnClosedPipe();
try {
  const args = process.argv.slice(2);
  const program = await createProgram(args);
  await program.parseAsync(args, { from: 'user' });
} catch (error) {
  fail(error);
}
