import { Command } from 'commander';
import { resolveAddresses } from '../local/addresses.ts';
import { migrate, migrationNames } from '../platform/migrate.ts';
import { readSettings } from '../platform/settings.ts';
import { print, printJson, say } from './output.ts';

/** `whence migrate`: brings Postgres to the current schema. */
export function migrateCommand(): Command {
  return new Command('migrate')
    .description('Bring Postgres to the current schema. Safe to run at any time, and by several at once.')
    .option('--json', 'print what was done as JSON')
    .action(async (options: { json?: true }) => {
      const { databaseUrl } = await resolveAddresses(readSettings(process.env), ['postgres'], say);
      const applied = await migrate(databaseUrl);
      const current = (await migrationNames()).at(-1) ?? null;
      if (options.json) printJson({ applied, current });
      else if (applied.length === 0) print(`Already up to date: ${current}`);
      else print(...applied.map((name) => `applied ${name}`), `Up to date: ${current}`);
    });
}
