import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase, startTestStack, type TestStack } from '../../local/testing.ts';
import { silentLogger } from '../../platform/log.ts';
import { openPool, type Pool } from '../../platform/postgres.ts';
import { parseEvent } from '../../attribution/validate.ts';

const README = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
const blocks = (language: string) =>
  [...README.matchAll(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 'gs'))].map((m) => m[1]);

let stack: TestStack<'postgres'>;
let pool: Pool;
beforeAll(async () => {
  stack = await startTestStack({ services: ['postgres'] });
  const databaseUrl = await createDatabase(stack.postgres.databaseUrl);
  pool = await openPool({ databaseUrl, applicationName: 'whence-test', log: silentLogger() });
});
afterAll(async () => {
  await pool.end();
  await stack.stop();
});

const QUERIES = blocks('sql');

test('there are five questions in SQL', () => expect(QUERIES).toHaveLength(5));

test.each(QUERIES)('a query of the README runs: %s', async (query) => {
  expect((await pool.query(query)).fields.length).toBeGreaterThan(1);
});

test('the events of the README are valid', () => {
  const lines = blocks('sh')
    .join('\n')
    .split('\n')
    .filter((line) => line.startsWith('{'));
  expect(lines).toHaveLength(3);
  for (const line of lines) {
    // As the shell would.
    const event = line.replace(/\$\(\(NOW - (\d+)\)\)/, (_, before: string) => String(Date.now() - Number(before)));
    expect(parseEvent(event, Infinity)).toMatchObject({ ok: true });
  }
});

test('every command of the README is a command of whence', async () => {
  const { COMMANDS } = await import('../../cli/commands.ts');
  const named = [...README.matchAll(/npx whence ([a-z]+)/g)].map((match) => match[1]);
  expect(named.length).toBeGreaterThan(8);
  for (const name of named) expect(COMMANDS.map((command) => command.name)).toContain(name);
});

test('every link of the README leads somewhere', () => {
  const targets = [...README.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)].map((match) => match[1]);
  expect(targets.length).toBeGreaterThan(5);
  for (const target of targets) {
    expect(() => readFileSync(new URL(`../../${target}`, import.meta.url)), target).not.toThrow(/ENOENT/);
  }
});
