import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Command } from 'commander';
import { simulateCommand } from '../../cli/simulate.ts';
import type { LedgerFile } from '../../simulator/simulate.ts';

let folder: string;
let stdout: string;
let stderr: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whence-'));
  stdout = '';
  stderr = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += text.toString();
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    stderr += text.toString();
    return true;
  });
});

afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

async function simulate(...args: string[]): Promise<void> {
  const command: Command = simulateCommand().exitOverride();
  await command.parseAsync(args, { from: 'user' });
}

async function ledgerOf(path: string): Promise<LedgerFile> {
  return JSON.parse(await readFile(path, 'utf8')) as LedgerFile;
}

const SMALL = ['--profiles', '30', '--days', '1', '--seed', '5'];

test('writes the lines and the ledger beside them, the same bytes each time', async () => {
  const hashes = [];
  for (const name of ['a', 'b']) {
    const out = join(folder, `${name}.ndjson`);
    await simulate(...SMALL, '--from', '2025-03-01', '--out', out);
    const text = await readFile(out, 'utf8');
    const ledger = await ledgerOf(join(folder, `${name}.ledger.json`));
    expect(text.endsWith('\n')).toBe(true);
    expect(text.split('\n').length - 1).toBe(ledger.records);
    expect(ledger).toMatchObject({ seed: 5, profiles: 30, days: 1, from: '2025-03-01', to: '2025-03-01' });
    hashes.push(createHash('sha256').update(text).update(JSON.stringify(ledger)).digest('hex'));
  }
  expect(hashes[0]).toBe(hashes[1]);
});

test('without --from the range ends yesterday', async () => {
  const out = join(folder, 'stream.ndjson');
  await simulate('--profiles', '3', '--days', '2', '--out', out);
  const { to } = await ledgerOf(join(folder, 'stream.ledger.json'));
  expect(to).toBe(new Date(Date.now() - 86_400_000).toISOString().slice(0, 10));
});

test('--json prints the summary for programs, on standard output where that is free', async () => {
  const out = join(folder, 'stream.ndjson');
  await simulate(...SMALL, '--from', '2025-03-01', '--out', out, '--json');
  const printed = JSON.parse(stdout) as LedgerFile & { out: string; seconds: number };
  expect(printed).toMatchObject({ out, ...(await ledgerOf(join(folder, 'stream.ledger.json'))) });
});

test('--rate paces the lines in real time', async () => {
  const out = join(folder, 'stream.ndjson');
  await simulate('--profiles', '2', '--days', '1', '--from', '2025-03-01', '--out', out, '--json');
  const { records } = JSON.parse(stdout) as LedgerFile;
  const before = performance.now();
  await simulate('--profiles', '2', '--days', '1', '--from', '2025-03-01', '--out', out, '--rate', String(records * 2));
  expect(performance.now() - before).toBeGreaterThan(350);
});

test('a range that reaches past yesterday is warned of', async () => {
  const warn = vi.spyOn(console, 'error').mockImplementation(() => {});
  await simulate('--profiles', '1', '--from', '2999-01-01', '--out', join(folder, 'x.ndjson'));
  expect(warn.mock.calls.join()).toContain('reaches past yesterday');
});

test.each([
  ['--profiles', '0', 'whole number from 1'],
  ['--profiles', '2.5', 'whole number from 1'],
  ['--days', 'many', 'whole number from 1'],
  ['--seed', '-1', 'whole number of at least 0'],
  ['--rate', '0', 'greater than 0'],
  ['--from', 'yesterday', 'YYYY-MM-DD'],
  ['--from', '2025-02-30', 'YYYY-MM-DD'],
])('%s %s is refused with what to do', async (option, value, words) => {
  await expect(simulate(option, value)).rejects.toThrow(words);
  expect(stderr).toContain(words);
});

test('a file that cannot be written is an error that names it', async () => {
  const out = join(folder, 'missing', 'x.ndjson');
  await expect(simulate(...SMALL, '--out', out)).rejects.toThrow(`Could not write the stream to ${out}`);
});

test('a ledger in the place of the stream is refused', async () => {
  const out = join(folder, 'x.ndjson');
  await expect(simulate(...SMALL, '--out', out, '--ledger', out)).rejects.toThrow('both name');
});

test('the ledger of an earlier run does not outlive a run that fails', async () => {
  const ledger = join(folder, 'old.ledger.json');
  await writeFile(ledger, '{}');
  await expect(simulate('--out', join(folder, 'missing', 'x.ndjson'), '--ledger', ledger)).rejects.toThrow();
  await expect(readFile(ledger)).rejects.toThrow('ENOENT');
});
