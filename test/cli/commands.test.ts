import { describe, expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { COMMANDS } from '../../cli/commands.ts';
import { whence } from './run.ts';

test('each entry loads the command of its name, which has words for its help', async () => {
  for (const { name, load } of COMMANDS) {
    const command = await load();
    expect(command.name()).toBe(name);
    expect(command.description().length).toBeGreaterThan(10);
  }
});

describe('whence', () => {
  test('--help names every command, one line each, and how to begin', async () => {
    const { code, stdout, stderr } = await whence(['--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const { name, summary } of COMMANDS) {
      expect(stdout.replaceAll(/\s+/g, ' ')).toContain(` ${name} ${summary}`);
    }
    expect(stdout).toContain('eval "$(npx whence up)"');
  });

  test('--version prints the version', async () => {
    expect(await whence(['--version'])).toEqual({ code: 0, stdout: `${packageJson.version}\n`, stderr: '' });
  });

  test('help COMMAND is the help of the command', async () => {
    const [help, option] = await Promise.all([whence(['help', 'send']), whence(['send', '--help'])]);
    expect(help.code).toBe(0);
    expect(help.stdout).toBe(option.stdout);
    expect(help.stdout).toContain('gunzip -c events.ndjson.gz');
  });

  test.each([
    ['an unknown command', ['sned', 'x'], "unknown command 'sned'\n(Did you mean send?)"],
    ['an unknown option', ['ledger', '--jsno'], "unknown option '--jsno'\n(Did you mean --json?)"],
    ['what is no play id', ['explain', '42'], '"42" is not the id of a play, expected a UUID'],
  ])('%s is an error with what to do', async (_, args, words) => {
    const { code, stdout, stderr } = await whence(args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(words);
    expect(stderr).not.toContain('    at ');
  });

  test('settings that are wrong are named all at once', async () => {
    const env = { DATABASE_URL: 'mysql://x', KAFKA_BROKERS: 'nowhere' };
    const { code, stderr } = await whence(['ledger'], { env });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: 2 settings are wrong:\n {2}DATABASE_URL: .*\n {2}KAFKA_BROKERS: .*\n$/);
  });
});

/** What commander says of arguments that it does not take, of a command loaded here. */
async function complaint(name: string, args: readonly string[]): Promise<string> {
  const entry = COMMANDS.find((each) => each.name === name);
  const command = await entry?.load();
  let said = '';
  for (const each of [command, ...(command?.commands ?? [])]) {
    each?.exitOverride().configureOutput({ writeErr: (text) => void (said += text) });
  }
  await expect(command?.parseAsync(args, { from: 'user' })).rejects.toThrow();
  return said;
}

describe('a value that an option does not take is an error with what to do', () => {
  test.each([
    ['send', [], "missing required argument 'file'"],
    ['send', ['--rate', 'fast', 'x'], 'Expected a number of lines a second greater than 0'],
    ['send', ['--rate', '0', 'x'], 'Expected a number of lines a second greater than 0'],
    ['send', ['--compression', 'rar', 'x'], 'Allowed choices are none, gzip, snappy, lz4, zstd'],
    ['dlq', ['list', '--reason', 'bad'], 'Expected one of not_json'],
    ['dlq', ['list', '--day', '2026-02-30'], 'Expected a day that exists'],
    ['dlq', ['list', '--limit', '-1'], 'Expected a whole number'],
    ['explain', [], "missing required argument 'play-id'"],
  ])('%s %j', async (name, args, words) => {
    expect(await complaint(name, args)).toContain(words);
  });
});
