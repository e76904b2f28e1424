import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Event } from '../../attribution/events.ts';
import { defaultPolicy } from '../../attribution/policy.ts';
import { createDatabase, startTestStack, type TestStack } from '../../local/testing.ts';
import { registerPolicy } from '../../merge/register-policy.ts';
import { silentLogger } from '../../platform/log.ts';
import { openPool, pipelineBeside, type Pool } from '../../platform/postgres.ts';
import type { CommitStep, OnStep } from '../../streaming/commit.ts';
import { CommitTurns } from '../../streaming/commit-turns.ts';
import { FencedError } from '../../streaming/errors.ts';
import type { Commit, Offsets } from '../../streaming/sql/advance-task.ts';
import { takeTask } from '../../streaming/sql/take-task.ts';
import { TaskState } from '../../streaming/task-state.ts';
import { playback } from '../core/samples.ts';
import { recordOfValue } from '../records.ts';

const TASKS = [0, 1, 2, 3];

let stack: TestStack<'postgres'>;
beforeAll(async () => {
  stack = await startTestStack({ services: ['postgres'] });
});
afterAll(() => stack.stop());

/** Tasks of one process and their turns, in a database of a test's own. */
class Ground {
  readonly steps: CommitStep[] = [];
  readonly turns: CommitTurns;
  readonly #tasks = new Map<number, { epoch: number; from: Offsets; state: TaskState; read: number }>();
  readonly pool: Pool;
  readonly #pipeline: Pool;

  private constructor(pool: Pool, onStep?: OnStep) {
    this.pool = pool;
    this.#pipeline = pipelineBeside(pool, silentLogger());
    const note: OnStep = async (step) => {
      this.steps.push(step as CommitStep);
      await onStep?.(step);
    };
    this.turns = new CommitTurns({ pool, pipeline: this.#pipeline }, note);
  }

  static async open(onStep?: OnStep): Promise<Ground> {
    const databaseUrl = await createDatabase(stack.postgres.databaseUrl);
    const pool = await openPool({ databaseUrl, applicationName: 'test', log: silentLogger(), max: 6 });
    await registerPolicy(pool, defaultPolicy);
    const ground = new Ground(pool, onStep);
    for (const task of TASKS) await ground.take(task);
    return ground;
  }

  async take(task: number): Promise<void> {
    const { epoch } = await takeTask(this.pool, task, 0);
    const state = new TaskState(task, ['playback'], defaultPolicy, {}, {});
    this.#tasks.set(task, { epoch, from: {}, state, read: 0 });
  }

  /** Reads events into a task, and has them committed. */
  commit(task: number, events: readonly Event[]): Promise<Commit> {
    return this.turns.commit(this.prepare(task, events));
  }

  prepare(task: number, events: readonly Event[]): () => Commit {
    let prepared: Commit | null = null;
    return () => {
      if (prepared !== null) return prepared;
      const held = this.#tasks.get(task);
      if (held === undefined) throw new Error(`No task ${task}`);
      for (const event of events)
        held.state.read(0, recordOfValue(Buffer.from(JSON.stringify(event)), held.read++), false);
      const delta = held.state.takeDelta([false]);
      prepared = { task, epoch: held.epoch, from: held.from, delta };
      held.from = delta.offsets;
      return prepared;
    };
  }

  /** How many transactions were begun. */
  get begun(): number {
    return this.steps.filter((step) => step === 'begun').length;
  }

  async plays(): Promise<string[]> {
    const { rows } = await this.pool.query<{ play: string }>(
      "select profile_id || ' of ' || task as play from whence.speed_plays order by 1",
    );
    return rows.map(({ play }) => play);
  }

  /** Of all partitions, by partition. */
  async consumed(): Promise<Record<number, number>> {
    const { rows } = await this.pool.query<{ partition: number; n: number }>(
      'select partition, sum(consumed)::int as n from whence.ledger group by 1 order by 1',
    );
    return Object.fromEntries(rows.map(({ partition, n }) => [partition, n]));
  }

  async end(): Promise<void> {
    await Promise.all([this.pool.end(), this.#pipeline.end()]);
  }
}

const played = (profile_id: string, id = profile_id, event_time = 1_790_000_000_000) =>
  playback({ profile_id, event_id: id, playback_id: id, event_time });

test('what is due while a commit is under way goes together in the next, as if each were alone', async () => {
  const [together, apart] = [await Ground.open(), await Ground.open()];
  const commits = TASKS.map((task) => together.commit(task, [played(`p${task}`)]));
  // Two more of one task, one after the other.
  await Promise.all(commits);
  expect(together.begun).toBe(1);
  await Promise.all([together.commit(2, [played('more')]), together.commit(0, [])]);
  expect(together.begun).toBe(2);
  for (const task of TASKS) await apart.commit(task, [played(`p${task}`)]);
  await apart.commit(2, [played('more')]);
  expect(apart.begun).toBe(5);
  expect(await together.plays()).toEqual(['more of 2', 'p0 of 0', 'p1 of 1', 'p2 of 2', 'p3 of 3']);
  expect(await apart.plays()).toEqual(await together.plays());
  expect(await together.consumed()).toEqual({ 0: 1, 1: 1, 2: 2, 3: 1 });
  expect(await apart.consumed()).toEqual(await together.consumed());
  const rollup = (ground: Ground) =>
    ground.pool.query(
      'select day, sod_surface, sum(plays)::int as plays, sum(watched_ms)::int as watched from whence.daily_shares group by 1, 2',
    );
  expect((await rollup(together)).rows).toEqual((await rollup(apart)).rows);
  await Promise.all([together.end(), apart.end()]);
});

test('one whose task is another’s by now is fenced, the others of its turn are committed', async () => {
  const ground = await Ground.open();
  const late = ground.prepare(1, [played('late')]);
  late();
  await ground.take(1);
  const results = await Promise.allSettled([
    ground.commit(0, [played('p0')]),
    ground.turns.commit(late),
    ground.commit(2, [played('p2')]),
  ]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect((results[1] as PromiseRejectedResult).reason).toBeInstanceOf(FencedError);
  expect(await ground.plays()).toEqual(['p0 of 0', 'p2 of 2']);
  expect(await ground.consumed()).toEqual({ 0: 1, 2: 1 });
  await ground.end();
});

test('where the answer to a commit of several is lost, trying again commits nothing twice', async () => {
  let lose = true;
  const ground = await Ground.open((step) => {
    if (step !== 'committed' || !lose) return;
    lose = false;
    throw Object.assign(new Error('connection terminated'), { code: '08006' });
  });
  const prepared = [0, 1].map((task) => ground.prepare(task, [played(`p${task}`)]));
  const first = await Promise.allSettled(prepared.map((prepare) => ground.turns.commit(prepare)));
  expect(first.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await Promise.all(prepared.map((prepare) => ground.turns.commit(prepare)));
  expect(await ground.plays()).toEqual(['p0 of 0', 'p1 of 1']);
  expect(await ground.consumed()).toEqual({ 0: 1, 1: 1 });
  await ground.end();
});

test('tasks that have a key in common commit one after the other, and keep their own plays of it', async () => {
  const ground = await Ground.open();
  await Promise.all([
    ground.commit(0, [played('shared', 'a')]),
    ground.commit(1, [played('shared', 'b')]),
    ground.commit(2, [played('p2')]),
  ]);
  expect(ground.begun).toBe(2);
  const { rows } = await ground.pool.query(
    'select profile_id, playback_id, task from whence.speed_plays order by 1, 2',
  );
  // Of the same key and start they are one play, whose last writer it is.
  expect(rows).toEqual([
    { profile_id: 'p2', playback_id: 'p2', task: 2 },
    { profile_id: 'shared', playback_id: 'b', task: 1 },
  ]);
  expect(await ground.consumed()).toEqual({ 0: 1, 1: 1, 2: 1 });
  await ground.end();
});

test('many plays are copied beside the turns, which go on', async () => {
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  let first = true;
  const ground = await Ground.open(async (step) => {
    if (step !== 'begun' || !first) return;
    first = false;
    await held;
  });
  const many = ground.commit(
    3,
    Array.from({ length: 600 }, (_, i) => played(`many ${i}`)),
  );
  await ground.commit(0, [played('p0')]);
  expect(await ground.plays()).toEqual(['p0 of 0']);
  release();
  await many;
  expect(await ground.plays()).toHaveLength(601);
  expect(await ground.consumed()).toEqual({ 0: 1, 3: 600 });
  await ground.end();
});

test('what is no longer to be committed is left out, and turns go on', async () => {
  const ground = await Ground.open();
  const gone = ground.turns.commit(() => {
    throw new Error('gone');
  });
  await Promise.all([expect(gone).rejects.toThrow('gone'), ground.commit(1, [played('p1')])]);
  await ground.commit(2, [played('p2')]);
  expect(await ground.plays()).toEqual(['p1 of 1', 'p2 of 2']);
  await ground.end();
});
