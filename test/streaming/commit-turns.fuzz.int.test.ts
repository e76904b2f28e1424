import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import type { KafkaMessage } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { defaultPolicy } from '../../attribution/policy.ts';
import { createDatabase, startTestStack, type TestStack } from '../../local/testing.ts';
import { registerPolicy } from '../../merge/register-policy.ts';
import { silentLogger } from '../../platform/log.ts';
import { Outage } from '../../platform/outage.ts';
import { openPool, pipelineBeside, type Pool } from '../../platform/postgres.ts';
import type { CommitPools, OnStep } from '../../streaming/commit.ts';
import { CommitTurns } from '../../streaming/commit-turns.ts';
import { FencedError } from '../../streaming/errors.ts';
import { Task, type TaskOptions } from '../../streaming/task.ts';
import { memoryStorage } from './memory-storage.ts';
import { expectRollup } from './served.ts';
import { simulated } from './world.ts';

const TASKS = 6;
const TOPICS = ['impressions', 'playback'];
const IN_A_COMMIT = ['begun', 'fenced', 'plays written', 'settled', 'before commit'];

let stack: TestStack<'postgres'>;
beforeAll(async () => {
  stack = await startTestStack({ services: ['postgres'] });
});
afterAll(() => stack.stop());

/** The log of each task, by topic. */
const logs: KafkaMessage[][][] = Array.from({ length: TASKS }, () => TOPICS.map(() => []));
for (const line of simulated(60, 2, 5).lines) {
  const profile = /"profile_id":"([^"]*)"/.exec(line)?.[1] ?? line;
  const number = crc32(profile) % TASKS;
  const log = logs[number][line.includes('"type":"playback"') ? 1 : 0];
  const value = Buffer.from(line);
  log.push({ key: null, value, offset: String(log.length), timestamp: '1790000000000', attributes: 0, headers: {} });
}

/** Two processes' parts of the speed layer, with a database of their own, and faults by a chance from a seed. */
class Storm {
  readonly hits = new Set<string>();
  calm: boolean;
  readonly #random: () => number;
  readonly #storage = memoryStorage().storage;
  readonly #watcher: Pool;
  readonly #processes: (Pick<TaskOptions, 'turns' | 'outage'> & CommitPools)[] = [];
  readonly #zombies: Task[] = [];
  #failure: Error | null = null;

  private constructor(watcher: Pool, seed: number | null) {
    this.#watcher = watcher;
    this.calm = seed === null;
    let state = seed ?? 1;
    this.#random = () => (state = (state * 1_664_525 + 1_013_904_223) >>> 0) / 2 ** 32;
  }

  /** @param seed none of a calm run */
  static async open(seed: number | null): Promise<Storm> {
    const databaseUrl = await createDatabase(stack.postgres.databaseUrl);
    const log = silentLogger();
    const storm = new Storm(await openPool({ databaseUrl, applicationName: 'watcher', log, max: 2 }), seed);
    await registerPolicy(storm.#watcher, defaultPolicy);
    for (let i = 0; i < 2; i++) {
      const pool = await openPool({ databaseUrl, applicationName: 'storm', log, max: 8 });
      const pipeline = pipelineBeside(pool, log);
      const turns = new CommitTurns({ pool, pipeline }, storm.#onStep);
      storm.#processes.push({ pool, pipeline, turns, outage: new Outage(log) });
    }
    return storm;
  }

  readonly #onStep: OnStep = async (step) => {
    if (this.calm) return;
    const chance = this.#random();
    const inCommit = IN_A_COMMIT.includes(step);
    if (chance < 0.03 && (inCommit || step === 'committed')) {
      this.hits.add(step === 'committed' ? 'answer lost' : 'connection lost');
      throw Object.assign(new Error('connection terminated'), { code: '08006' });
    }
    if (chance < 0.04 && inCommit) {
      this.hits.add('backends ended');
      await this.#watcher.query(`select pg_terminate_backend(pid) from pg_stat_activity
        where application_name like 'storm%' and datname = current_database() and state <> 'idle'`);
    }
    if (chance < 0.1) await sleep(this.#random() * 30);
  };

  /** Has all tasks read to their ends, whoever has them. */
  async run(): Promise<void> {
    const last = await Promise.all(logs.map((_, number) => this.#own(number)));
    this.calm = true;
    await Promise.all(this.#zombies.map((zombie) => zombie.commitNow(true)));
    expect(last.filter((task) => task.ended)).toEqual([]);
    await Promise.all(last.map((task) => task.checkpointed()));
    for (const task of last) task.abandon();
  }

  async #own(number: number): Promise<Task> {
    let task = await this.#take(number);
    for (;;) {
      if (this.#failure !== null) throw this.#failure;
      if (task.ended) task = await this.#take(number);
      await this.#readSome(task);
      const { topics } = task.view();
      if (topics.every(({ committed }, topic) => committed >= logs[number][topic].length)) return task;
      if (this.calm || this.#random() > 0.06) continue;
      this.hits.add('retaken');
      // Whose commit may wait, or be under way; told of it, or a zombie.
      void task.commitNow();
      if (this.#random() < 0.5) task.abandon();
      else this.#zombies.push(task);
      task = await this.#take(number);
    }
  }

  async #readSome(task: Task): Promise<void> {
    const log = logs[task.number];
    TOPICS.forEach((_, topic) => {
      const at = task.reading.offeredTo(topic);
      const end = Math.min(log[topic].length, at + (this.#random() < 0.02 ? 1_500 : Math.ceil(this.#random() * 8)));
      if (at < end) task.reading.offer(topic, log[topic].slice(at, end), end);
    });
    while (task.readSome(4_000));
    task.commitSoon();
    const isAtEnd = log.every(
      (of, topic) => task.reading.offeredTo(topic) >= of.length && !task.reading.waiting(topic),
    );
    if (isAtEnd || this.#random() < 0.3) await task.commitNow(isAtEnd);
    else await sleep(this.#random() * 12);
  }

  /** Taken by one of the processes; while a connection breaks, again and again. */
  async #take(number: number): Promise<Task> {
    for (;;) {
      try {
        return await Task.take({
          ...this.#processes[Math.floor(this.#random() * this.#processes.length)],
          number,
          topics: TOPICS,
          policy: defaultPolicy,
          log: silentLogger(),
          bounds: logs[number].map((log) => ({ earliest: 0, next: log.length })),
          acceptDataLoss: false,
          recreated: new Set(),
          onCommit: () => {},
          onLost: (reason) => {
            if (reason instanceof FencedError) this.hits.add('fenced');
            else this.#failure = reason;
          },
          onStep: this.#onStep,
          checkpoints: {
            storage: this.#storage,
            installation: 'storm',
            everyMs: 20,
            trouble: new Outage(silentLogger()),
          },
        });
      } catch (error) {
        if (this.calm) throw error;
        await sleep(20);
      }
    }
  }

  async tables(): Promise<Record<string, unknown[]>> {
    await expectRollup(this.#watcher);
    const read = async (sql: string) => (await this.#watcher.query<object>(sql)).rows;
    return {
      plays: await read('select p::text as play from whence.speed_plays p order by play_id'),
      discoveries: await read(
        'select d::text as discovery from whence.key_discoveries d order by profile_id, work_id, by_batch',
      ),
      ledger: await read('select * from whence.ledger order by topic, partition, day'),
      rollup: await read('select * from whence.daily_discovery order by day, country, sod_surface, sod_row_type'),
      letters: await read('select topic, partition, "offset", reason from whence.dead_letters order by 1, 2, 3'),
      offsets: await read('select task, offsets from whence.speed_tasks order by task'),
    };
  }

  async end(): Promise<void> {
    await Promise.all(this.#processes.flatMap(({ pool, pipeline }) => [pool.end(), pipeline.end()]));
    await this.#watcher.end();
  }
}

test('lost answers, broken connections, zombies and tasks that go back and forth leave the tables of a calm run', async () => {
  const calm = await Storm.open(null);
  await calm.run();
  const expected = await calm.tables();
  expect(expected.plays.length).toBeGreaterThan(100);
  await calm.end();
  const hits = new Set<string>();
  for (const seed of [77, 154]) {
    const storm = await Storm.open(seed);
    await storm.run();
    expect(await storm.tables(), `seed ${seed}`).toEqual(expected);
    for (const hit of storm.hits) hits.add(hit);
    await storm.end();
  }
  expect([...hits].sort()).toEqual(['answer lost', 'backends ended', 'connection lost', 'fenced', 'retaken']);
});
