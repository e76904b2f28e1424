import type { ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openLocalStorage } from '../../platform/storage.ts';
import type { CommitStep } from '../../streaming/commit.ts';
import { crashAt, type Step } from './crash-at.ts';
import { createSilentLayer } from './layer.ts';
import { expectServed } from './served.ts';
import { FAULTS, storm } from './storm.ts';
import { ended, expectLedger, simulated, startStack, World } from './world.ts';

let stack: Awaited<ReturnType<typeof startStack>>;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.stop());

const STEPS: CommitStep[] = ['begun', 'fenced', 'plays written', 'settled', 'before commit', 'committed'];
const CHECKPOINT_STEPS: Step[] = ['cut', 'segment written', 'head written', 'registered', 'old removed'];
const RECOVERY_STEPS: Step[] = ['taken', 'head read', 'segment restored', 'restored', 'recovered'];

describe('killed −9', () => {
  test('before, inside and after a commit, it goes on where it was', async () => {
    const world = await World.create(stack, 'steps');
    const { lines, ledger } = simulated(120, 3, 11);
    const pieces = 2 * STEPS.length;
    for (let i = 0; i < pieces; i++) {
      const from = Math.floor((lines.length * i) / pieces);
      const piece = lines.slice(from, Math.floor((lines.length * (i + 1)) / pieces));
      const step = STEPS[i % STEPS.length];
      // The first commit, or one in the middle.
      if (i < STEPS.length) await world.publish(piece);
      const died = i < STEPS.length ? crashAt(world, step) : crashAmid(world, step, piece);
      expect(await died).toBe(`dying at: ${step}`);
    }
    await world.whence('stream', '--no-archive', '--until-caught-up');
    await expectServed(world.pool, await world.readLog());
    await expectLedger(world, lines, ledger);
    await world.end();
  });

  test('before, inside and after a checkpoint and a recovery, it ends with the rows of a calm run', async () => {
    const world = await World.create(stack, 'checkpoints', 1);
    const { lines, ledger } = simulated(30, 1, 15);
    // At the end again: there is an old one to be removed by then.
    const steps: Step[] = [...CHECKPOINT_STEPS, ...RECOVERY_STEPS, 'registered', 'old removed'];
    for (const [i, step] of steps.entries()) {
      const [from, to] = [i, i + 1].map((piece) => Math.floor((lines.length * piece) / (steps.length + 1)));
      await world.publish(lines.slice(from, to));
      expect(await crashAt(world, step)).toBe(`dying at: ${step}`);
    }
    await world.publish(lines.slice(Math.floor((lines.length * steps.length) / (steps.length + 1))));
    const storage = await openLocalStorage(world.dataDir);
    const restored: Step[] = [];
    const layer = await createSilentLayer(world, {
      checkpoints: { storage, everyMs: 0 },
      onStep: (step) => void restored.push(step),
    });
    await layer.caughtUp();
    await layer.stop();
    expect(restored).toEqual(expect.arrayContaining(RECOVERY_STEPS));
    await expectServed(world.pool, await world.readLog());
    await expectLedger(world, lines, ledger);
    await world.end();
  });

  test('at random moments, two processes that share the partitions lose nothing and double nothing', async () => {
    const world = await World.create(stack, 'random');
    const { lines, ledger } = simulated(200, 2, 12);
    const processes: ChildProcess[] = [world.start('stream', '--no-archive'), world.start('stream', '--no-archive')];
    let kills = 0;
    const step = Math.ceil(lines.length / 12);
    for (let i = 0; i < lines.length; i += step) {
      await world.publish(lines.slice(i, i + step));
      await sleep(300 + ((i * 7_919) % 900));
      const victim = kills % 2;
      if (processes[victim].exitCode === null && i > 2 * step && kills < 4) {
        processes[victim].kill('SIGKILL');
        await ended(processes[victim]);
        kills++;
        processes[victim] = world.start('stream', '--no-archive');
      }
    }
    expect(kills).toBeGreaterThanOrEqual(3);
    await world.whence('stream', '--no-archive', '--until-caught-up');
    await world.shared(2);
    for (const running of processes) {
      running.kill('SIGTERM');
      expect(await ended(running)).toBe(0);
    }
    await expectServed(world.pool, await world.readLog());
    await expectLedger(world, lines, ledger);
    await world.end();
  });
});

test('two processes started together share the work and end when all is read', async () => {
  const world = await World.create(stack, 'two');
  const { lines, ledger } = simulated(100, 2, 13);
  await world.publish(lines);
  await world.whence('stream', '--no-archive', '--processes', '2', '--until-caught-up');
  await expectServed(world.pool, await world.readLog());
  await expectLedger(world, lines, ledger);
  await world.end();
});

test('a zombie, stopped past its session and then continued, changes nothing', async () => {
  const world = await World.create(stack, 'zombie');
  const { lines, ledger } = simulated(100, 2, 14);
  const half = Math.floor(lines.length / 2);
  const zombie = world.start('stream', '--no-archive');
  await world.publish(lines.slice(0, half));
  await committedRecords(world, 1_000);
  // Stopped while records are under way to it.
  await world.publish(lines.slice(half, half + 2_000));
  zombie.kill('SIGSTOP');
  const epochs = await world.epochs();
  await world.publish(lines.slice(half + 2_000));
  const layer = await createSilentLayer(world);
  await layer.caughtUp();
  const taken = await world.epochs();
  taken.forEach((epoch, task) => expect(epoch).toBeGreaterThan(epochs[task]));
  const before = await world.fingerprint();
  zombie.kill('SIGCONT');
  await sleep(3_000);
  expect(await world.fingerprint()).toEqual(before);
  await layer.stop();
  zombie.kill('SIGTERM');
  await ended(zombie);
  expect(await world.fingerprint()).toEqual(before);
  await expectServed(world.pool, await world.readLog());
  await expectLedger(world, lines, ledger);
  await world.end();
});

test('who is about to leave takes nothing over from another that left', async () => {
  const world = await World.create(stack, 'leaving', 4);
  const { lines, ledger } = simulated(60, 1, 16);
  const first = await createSilentLayer(world);
  let release = () => {};
  let held: Promise<void> | null = null;
  const second = await createSilentLayer(world, { onStep: () => held ?? undefined });
  await world.shared(2);
  await world.publish(lines.slice(0, 2_000));
  await Promise.all([first.caughtUp(), second.caughtUp()]);
  const epochs = await world.epochs();
  // Its last commit takes long, while the other leaves at once.
  held = new Promise((resolve) => (release = resolve));
  await world.publish(lines.slice(2_000));
  const leaving = second.stop();
  await first.stop();
  await world.shared(1);
  await sleep(1_000);
  release();
  await leaving;
  expect(await world.epochs()).toEqual(epochs);
  const last = await createSilentLayer(world);
  await last.caughtUp();
  await last.stop();
  await expectServed(world.pool, await world.readLog());
  await expectLedger(world, lines, ledger);
  await world.end();
});

test('through kills, freezes, processes that come and go, and both servers killed, all ends equal and balanced', async () => {
  expect((await storm(stack, 1)).sort()).toEqual([...FAULTS].sort());
});

/** Sends some lines bit by bit, each when the one before was committed, to a layer that dies in its third commit. */
async function crashAmid(world: World, step: Step, lines: string[]): Promise<string> {
  const child = { alive: true };
  const died = crashAt(world, step, 3).finally(() => (child.alive = false));
  for (let bit = 0; bit < 4; bit++) {
    const before = await committed(world);
    await world.publish(lines.slice((lines.length * bit) / 4, (lines.length * (bit + 1)) / 4));
    while (child.alive && (await committed(world)) <= before) await sleep(50);
  }
  return died;
}

async function committedRecords(world: World, atLeast: number): Promise<void> {
  while ((await committed(world)) < atLeast) await sleep(50);
}

async function committed(world: World): Promise<number> {
  const { rows } = await world.pool.query<{ n: number }>(
    'select coalesce(sum(consumed), 0)::int as n from whence.ledger',
  );
  return rows[0].n;
}
