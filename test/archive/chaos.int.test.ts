import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { prefixOf } from '../../archive/file.ts';
import { findInstallation } from '../../archive/manifest.ts';
import { removeOrphans } from '../../archive/orphans.ts';
import { rebuildManifest } from '../../archive/rebuild.ts';
import type { ArchiveStep } from '../../streaming/archiver-commit.ts';
import { simulated, startStack, World } from '../streaming/world.ts';
import { archiveAll, createSilentArchiver, expectArchived, keysOf, manifestOf, storageOf } from './archive-world.ts';

let stack: Awaited<ReturnType<typeof startStack>>;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.stop());

const STEPS: ArchiveStep[] = ['published', 'begun', 'fenced', 'before commit', 'committed'];

test('killed −9 after a file was written, before, inside and after its commit, it archives everything once', async () => {
  const world = await World.create(stack, 'steps', 2);
  const { lines } = simulated(60, 2, 31);
  const pieces = STEPS.length + 1;
  for (let i = 0; i < pieces; i++) {
    const from = Math.floor((lines.length * i) / pieces);
    await world.publish(lines.slice(from, Math.floor((lines.length * (i + 1)) / pieces)));
    if (i < STEPS.length) expect(await crashAt(world, STEPS[i], i % 2 === 0 ? 1 : 3)).toBe(`SIGKILL at: ${STEPS[i]}`);
  }
  const before = await keysOf(world);
  // What the crashes left does not go by its age here: the archive goes beyond it.
  await archiveAll(world, { roll: { rows: 1_000 } });
  await expectArchived(world);
  const storage = await storageOf(world);
  const installation = await findInstallation(world.pool);
  const manifest = (await manifestOf(world)).map(({ path }) => path);
  const { orphans } = await rebuildManifest(storage, installation);
  const swept = await removeOrphans(storage, prefixOf(installation), world.pool);
  expect(swept.toSorted()).toEqual(orphans);
  expect(before.filter((key) => !manifest.includes(key)).length).toBeGreaterThanOrEqual(4);
  expect(await keysOf(world)).toEqual(manifest.toSorted());
  await expectArchived(world);
  await world.end();
});

test('two processes share the partitions, one is killed: the other takes its part', async () => {
  const world = await World.create(stack, 'two', 4);
  const { lines } = simulated(80, 2, 32);
  const victim = spawnAt(world, 'SIGKILL', 'none');
  const other = spawnAt(world, 'SIGKILL', 'none');
  await world.shared(2, 'whence-archive');
  const step = Math.ceil(lines.length / 5);
  for (let i = 0; i < lines.length; i += step) {
    await world.publish(lines.slice(i, i + step));
    await sleep(700);
    if (i === 2 * step) victim.kill('SIGKILL');
  }
  const archived = async () => (await manifestOf(world)).reduce((sum, { from, to }) => sum + to - from, 0);
  while ((await archived()) < lines.length) await sleep(100);
  other.kill('SIGKILL');
  expect(victim.signalCode).toBe('SIGKILL');
  await expectArchived(world);
  await world.end();
});

test('a zombie, frozen inside its transaction past its session and then continued, adds nothing', async () => {
  const world = await World.create(stack, 'zombie', 2);
  const { lines } = simulated(40, 2, 33);
  const half = Math.floor(lines.length / 2);
  await world.publish(lines.slice(0, half));
  const zombie = spawnAt(world, 'SIGSTOP', 'fenced', 3);
  const [said] = (await once(zombie.stdout, 'data')) as [Buffer];
  expect(said.toString().trim()).toBe('SIGSTOP at: fenced');
  await world.publish(lines.slice(half));
  const archiver = await createSilentArchiver(world, { roll: { rows: 700 } });
  await archiver.caughtUp();
  const before = await manifestOf(world);
  zombie.kill('SIGCONT');
  await sleep(2_500);
  expect(await manifestOf(world)).toEqual(before);
  expect(zombie.exitCode).toBeNull();
  await archiver.stop();
  zombie.kill('SIGKILL');
  await expectArchived(world);
  await world.end();
});

test('a file that was swept while its commit waited is written again', async () => {
  const world = await World.create(stack, 'swept', 1);
  const { lines } = simulated(20, 1, 34);
  await world.publish(lines);
  const storage = await storageOf(world);
  const prefix = prefixOf(await findInstallation(world.pool));
  let swept: string[] = [];
  await archiveAll(world, {
    onStep: async (step) => {
      if (step === 'published' && swept.length === 0) swept = await removeOrphans(storage, prefix, world.pool, 0);
    },
  });
  expect(swept.length).toBeGreaterThan(0);
  await expectArchived(world);
  await expect(fs.access(storage.locate(swept[0]))).rejects.toThrow();
  await world.end();
});

/** Runs the archiver until it kills itself at a step; what it said before. */
async function crashAt(world: World, step: ArchiveStep, nth: number): Promise<string> {
  const child = spawnAt(world, 'SIGKILL', step, nth);
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  if (signal !== 'SIGKILL') return `ended by itself before ${step} #${nth}`;
  return said.trim();
}

function spawnAt(world: World, signal: 'SIGKILL' | 'SIGSTOP', step: ArchiveStep | 'none', nth = 1) {
  const script = fileURLToPath(new URL('crashing-archiver.ts', import.meta.url));
  return spawn(process.execPath, ['--import', 'tsx', script, signal, step, String(nth)], {
    env: world.env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}
