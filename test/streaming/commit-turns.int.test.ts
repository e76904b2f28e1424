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
    // Who is in a turn must not depend on how fast this machine is.
    this.turns = new CommitTurns({ pool, pipeline: this.#pipeline }, note, Infinity);
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

/** Holds the first commit that reaches a step, until it is released. */
function holdAt(step: CommitStep) {
  let release = () => {};
  let reach = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const reached = new Promise<void>((resolve) => (reach = resolve));
  let first = true;
  const onStep: OnStep = async (at) => {
    if (at !== step || !first) return;
    first = false;
    reach();
    await held;
  };
  return { onStep, reached, release };
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
  const hold = holdAt('begun');
  const ground = await Ground.open(hold.onStep);
  const many = ground.commit(
    3,
    Array.from({ length: 600 }, (_, i) => played(`many ${i}`)),
  );
  await hold.reached;
  await ground.commit(0, [played('p0')]);
  expect(await ground.plays()).toEqual(['p0 of 0']);
  hold.release();
  await many;
  expect(await ground.plays()).toHaveLength(601);
  expect(await ground.consumed()).toEqual({ 0: 1, 3: 600 });
  await ground.end();
});

test('one that keeps failing in a way that passes holds back no other', async () => {
  const ground = await Ground.open();
  // A table of the server's that is out of room for one of them.
  await ground.pool.query(`
    create function no_room() returns trigger language plpgsql as $$ begin
      if new.profile_id = 'p1' then raise exception 'no room' using errcode = '53100'; end if;
      return new;
    end $$`);
  await ground.pool.query(
    'create trigger no_room before insert on whence.speed_plays for each row execute function no_room()',
  );
  const prepared = [0, 1].map((task) => ground.prepare(task, [played(`p${task}`)]));
  const first = await Promise.allSettled(prepared.map((prepare) => ground.turns.commit(prepare)));
  expect(first.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  const again = await Promise.allSettled(prepared.map((prepare) => ground.turns.commit(prepare)));
  expect(again.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  await ground.pool.query('drop trigger no_room on whence.speed_plays');
  await ground.turns.commit(prepared[1]);
  expect(await ground.plays()).toEqual(['p0 of 0', 'p1 of 1']);
  await ground.end();
});

test('one that waits for a lock holds up those of its turn for a moment, and no other turn', async () => {
  const ground = await Ground.open();
  const holder = await ground.pool.connect();
  await holder.query('begin');
  await holder.query('select from whence.speed_tasks where task = 1 for update');
  const waiting = ground.commit(1, [played('p1')]);
  await ground.commit(0, [played('p0')]);
  await ground.commit(2, [played('p2')]);
  expect(await ground.plays()).toEqual(['p0 of 0', 'p2 of 2']);
  await holder.query('rollback');
  holder.release();
  await waiting;
  expect(await ground.plays()).toHaveLength(3);
  await ground.end();
});

test('a key that is being committed by one task is not committed by another: its one discovery is the earliest', async () => {
  const hold = holdAt('settled');
  const ground = await Ground.open(hold.onStep);
  const start = 1_790_000_000_000;
  const watched = (id: string, from: number) => [
    played('shared', `${id}1`, from),
    playback({
      profile_id: 'shared',
      playback_id: `${id}1`,
      event_id: `${id}2`,
      action: 'stop',
      event_time: from + 600_000,
    }),
  ];
  const others = Array.from({ length: 600 }, (_, i) => played(`many ${i}`));
  const large = ground.commit(3, [...others, ...watched('b', start + 7_200_000)]);
  await hold.reached;
  await ground.commit(0, [played('p0')]);
  const small = ground.commit(1, watched('a', start));
  await ground.commit(2, [played('p2')]);
  hold.release();
  await Promise.all([large, small]);
  const { rows } = await ground.pool.query(
    "select playback_id, is_discovery from whence.plays where profile_id = 'shared' order by started_at",
  );
  expect(rows).toEqual([
    { playback_id: 'a1', is_discovery: true },
    { playback_id: 'b1', is_discovery: false },
  ]);
  const { rows: daily } = await ground.pool.query(
    'select sum(plays)::int as plays, sum(discoveries)::int as discoveries from whence.daily_discovery',
  );
  expect(daily).toEqual([{ plays: 604, discoveries: 1 }]);
  await ground.end();
});

test('a day whose plays moved elsewhere under another task is no day with plays', async () => {
  const ground = await Ground.open();
  const day = Date.UTC(2026, 8, 22);
  // Together: the shares of both stand under the first of them.
  await Promise.all([
    ground.commit(0, [played('p0', 'p0', day - 86_400_000)]),
    ground.commit(1, [played('p1', 'p1', day + 1_000)]),
  ]);
  // It began on the day before.
  await ground.commit(1, [playback({ ...played('p1', 'p1 earlier', day - 1_000), playback_id: 'p1' })]);
  const { rows } = await ground.pool.query<{ day: string; plays: number }>(
    'select day::text, plays::int from whence.days order by 1',
  );
  expect(rows).toEqual([{ day: '2026-09-21', plays: 2 }]);
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
