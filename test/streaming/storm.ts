/**
 * Chaos from a seed: processes are killed, frozen past their session, added and removed, and servers are killed and started
 * again, in an order that the seed gives, while the simulator's records flow. A test runs one seed, `bench/chaos.ts` many.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import type { TestStack } from '../../local/testing.ts';
import { Random } from '../../simulator/random.ts';
import { expectServed } from './served.ts';
import { ended, expectLedger, simulated, World } from './world.ts';

export const FAULTS = ['killed', 'frozen', 'added', 'removed', 'postgres', 'kafka'] as const;
export type Fault = (typeof FAULTS)[number];

const PARTITIONS = 3;
/** Long enough for a machine with much else to do. */
const BOUND_MS = 180_000;

/**
 * Runs one storm with each fault at least once, and compares what is served with the oracle and the ledger with the
 * simulator's; the faults, in their order.
 *
 * @param more faults beyond one of each
 * @throws where a fault did not hit, or anything is lost, doubled or different afterwards
 */
export async function storm(stack: TestStack<'postgres' | 'kafka'>, seed: number, more = 0): Promise<Fault[]> {
  const random = new Random(seed, 'storm');
  const faults: Fault[] = [...FAULTS];
  for (let i = 0; i < more; i++) faults.push(FAULTS[random.below(FAULTS.length)]);
  const order = faults.map((fault) => ({ fault, at: random.float() })).sort((a, b) => a.at - b.at);

  const world = await World.create(stack, `storm-${seed}`, PARTITIONS);
  const { lines, ledger } = simulated(60, 2, seed);
  for (const trouble of ['late', 'duplicate', 'dead_lettered'] as const) {
    expect(ledger.expected.reduce((sum, row) => sum + row[trouble], 0)).toBeGreaterThan(0);
  }
  const layer = new Processes(world, random);
  try {
    layer.add();
    layer.add();
    await layer.shared();
    const pieces = piecesOf(lines, order.length + 1, random);
    for (const [i, { fault }] of order.entries()) {
      await world.publish(pieces[i]);
      await hit(fault, stack, world, layer);
    }
    await world.publish(pieces[order.length]);
    await allCommitted(world, lines.length);
    await layer.stop();
    await expectServed(world.pool, await world.readLog());
    await expectLedger(world, lines, ledger);
  } finally {
    layer.end();
    await world.end();
  }
  return order.map(({ fault }) => fault);
}

/** Does the worst, and returns when it has hit: partitions went to another, or a server was away. */
async function hit(fault: Fault, stack: TestStack<'postgres' | 'kafka'>, world: World, layer: Processes) {
  if (fault === 'postgres' || fault === 'kafka') {
    await stack[fault].kill();
    expect(await stack[fault].answers()).toBe(false);
    await sleep(1_000);
    await stack.restart(fault);
    await layer.shared();
    return;
  }
  // Each has a partition, and there is another to take it.
  if (fault === 'added' && layer.running.length === PARTITIONS) await layer.remove();
  if (fault !== 'added' && layer.running.length < 2) layer.add();
  await layer.shared();
  const before = await world.epochs();
  if (fault === 'added') layer.add();
  if (fault === 'killed') await layer.kill();
  if (fault === 'removed') await layer.remove();
  if (fault === 'frozen') {
    const frozen = layer.freeze();
    await layer.shared(layer.running.length - 1);
    await takenSince(world, before);
    frozen.kill('SIGCONT');
  }
  await takenSince(world, before);
  await layer.shared();
}

/** The processes of one layer. */
class Processes {
  readonly running: ChildProcess[] = [];
  readonly #world: World;
  readonly #random: Random;
  readonly #ends = new Map<ChildProcess, Promise<number | null>>();

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
  }

  add(): void {
    const script = fileURLToPath(new URL('crashing.ts', import.meta.url));
    const args = ['--import', 'tsx', script];
    const child = spawn(process.execPath, args, { env: this.#world.env, stdio: ['ignore', 'ignore', 'inherit'] });
    this.#ends.set(child, ended(child));
    this.running.push(child);
  }

  async kill(): Promise<void> {
    const victim = this.#take();
    victim.kill('SIGKILL');
    await ended(victim);
    expect(victim.signalCode).toBe('SIGKILL');
  }

  async remove(): Promise<void> {
    const leaving = this.#take();
    leaving.kill('SIGTERM');
    expect(await ended(leaving)).toBe(0);
  }

  freeze(): ChildProcess {
    const frozen = this.running[this.#random.below(this.running.length)];
    frozen.kill('SIGSTOP');
    return frozen;
  }

  /** Waits until so many are members of the group, however long its coordinator is away; all that run, by default. */
  async shared(by = this.running.length): Promise<void> {
    const alone = Promise.race(
      this.running.map(async (child) => {
        await this.#ends.get(child);
        throw new Error(`a process ended by itself, with ${child.exitCode ?? child.signalCode}`);
      }),
    );
    for (;;) {
      const settled = this.#world.shared(by).then(
        () => true,
        () => sleep(200, false),
      );
      if (await bounded(Promise.race([settled, alone]), `the group to have ${by} members`)) return;
    }
  }

  async stop(): Promise<void> {
    while (this.running.length > 0) await this.remove();
  }

  /** Ends what a failure has left. */
  end(): void {
    for (const child of this.running) child.kill('SIGKILL');
  }

  #take(): ChildProcess {
    return this.running.splice(this.#random.below(this.running.length), 1)[0];
  }
}

/** Waits until a process has taken a task. */
async function takenSince(world: World, before: readonly number[]): Promise<void> {
  await until(
    async () => (await world.epochs()).some((epoch, task) => epoch > (before[task] ?? 0)),
    'a task to be taken',
  );
}

async function allCommitted(world: World, records: number): Promise<void> {
  await until(async () => {
    const { rows } = await world.pool.query<{ n: number }>(
      'select coalesce(sum(consumed), 0)::int as n from whence.ledger',
    );
    return rows[0].n >= records;
  }, `${records} records to be committed`);
}

async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  const last = Date.now() + BOUND_MS;
  while (!(await condition())) {
    if (Date.now() > last) throw new Error(`waited too long for ${what}`);
    await sleep(50);
  }
}

async function bounded<Result>(work: Promise<Result>, what: string): Promise<Result> {
  const late = new AbortController();
  const never = sleep(BOUND_MS, undefined, { signal: late.signal }).then(() => {
    throw new Error(`waited too long for ${what}`);
  });
  never.catch(() => {});
  try {
    return await Promise.race([work, never]);
  } finally {
    late.abort();
  }
}

/** All lines in order, in pieces of unequal sizes. */
function piecesOf(lines: readonly string[], pieces: number, random: Random): string[][] {
  const weights = Array.from({ length: pieces }, () => 0.5 + random.float());
  const sum = weights.reduce((all, weight) => all + weight, 0);
  let passed = 0;
  const ends = weights.map((weight) => Math.round((lines.length * (passed += weight)) / sum));
  return ends.map((end, i) => lines.slice(i === 0 ? 0 : ends[i - 1], end));
}
