/** A real Kafka and a real Postgres with topics and a database of a test's own, and what tests ask of them. */

import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Kafka, KafkaMessage } from 'kafkajs';
import { expect, onTestFinished } from 'vitest';
import { parseRecord } from '../../attribution/validate.ts';
import { createDatabase, startTestStack, type TestStack } from '../../local/testing.ts';
import { createKafka, createProducer, createTopics } from '../../platform/kafka.ts';
import { silentLogger } from '../../platform/log.ts';
import { openPool, type Pool } from '../../platform/postgres.ts';
import { simulate, type LedgerFile } from '../../simulator/simulate.ts';
import { findGroupId } from '../../streaming/sql/find-group-id.ts';
import type { LogRecord } from '../oracle/oracle.ts';
import { messagesOf } from '../records.ts';
import { expectRollup } from './served.ts';

export const LAUNCHER = fileURLToPath(new URL('../../cli/whence.js', import.meta.url));

export interface RawRecord {
  topic: string;
  partition: number;
  offset: number;
  message: KafkaMessage;
}

/** One test's topics and database on a stack that several tests share. */
export class World {
  readonly kafka: Kafka;
  readonly pool: Pool;
  readonly env: NodeJS.ProcessEnv;
  readonly impressions: string;
  readonly playback: string;
  readonly dlq: string;
  readonly partitions: number;
  readonly dataDir: string;

  private constructor(
    kafka: Kafka,
    pool: Pool,
    databaseUrl: string,
    brokers: string[],
    name: string,
    partitions: number,
    directory: string,
  ) {
    this.kafka = kafka;
    this.pool = pool;
    this.partitions = partitions;
    this.impressions = `impressions-${name}`;
    this.playback = `playback-${name}`;
    this.dlq = `dlq-${name}`;
    this.dataDir = path.join(directory, `data-${name}`);
    this.env = {
      ...process.env,
      WHENCE_DATA_DIR: this.dataDir,
      DATABASE_URL: databaseUrl,
      KAFKA_BROKERS: brokers.join(','),
      WHENCE_IMPRESSION_TOPICS: this.impressions,
      WHENCE_PLAYBACK_TOPICS: this.playback,
      WHENCE_DLQ_TOPIC: this.dlq,
      WHENCE_LOG_LEVEL: 'warn',
    };
  }

  static async create(stack: TestStack<'postgres' | 'kafka'>, name: string, partitions = 3): Promise<World> {
    const databaseUrl = await createDatabase(stack.postgres.databaseUrl);
    const { brokers } = stack.kafka;
    const log = silentLogger();
    const kafka = createKafka({ brokers, clientId: 'whence-test', log });
    const pool = await openPool({ databaseUrl, applicationName: 'whence-test', log, max: 4 });
    const world = new World(kafka, pool, databaseUrl, [...brokers], name, partitions, stack.directory);
    await world.createTopics();
    return world;
  }

  private async createTopics(): Promise<void> {
    const numPartitions = this.partitions;
    await this.withAdmin((admin) =>
      createTopics(admin, [
        { topic: this.impressions, numPartitions },
        { topic: this.playback, numPartitions },
        { topic: this.dlq, numPartitions: 1 },
      ]),
    );
  }

  /** Deletes a topic and makes it anew, empty. */
  async recreateTopic(topic: string): Promise<void> {
    await this.withAdmin(async (admin) => {
      await admin.deleteTopics({ topics: [topic] });
      // What is published meanwhile would still go into the old one.
      while ((await admin.listTopics()).includes(topic)) await sleep(50);
      await createTopics(admin, [{ topic, numPartitions: this.partitions }]);
    });
  }

  async withAdmin<Result>(work: (admin: ReturnType<Kafka['admin']>) => Promise<Result>): Promise<Result> {
    const admin = this.kafka.admin();
    await admin.connect();
    try {
      return await work(admin);
    } finally {
      await admin.disconnect();
    }
  }

  /** Publishes lines in order, each to the topic of its type, as `whence send` does. */
  async publish(lines: readonly string[], stampedAt?: number): Promise<void> {
    const producer = createProducer(this.kafka, { idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    for (const slice of slices(lines)) {
      const byTopic = new Map<string, { key: string | null; value: string; timestamp?: string }[]>();
      for (const line of slice) {
        const { topic, key } = this.route(line);
        const messages = byTopic.get(topic) ?? [];
        byTopic.set(topic, messages);
        messages.push({ key, value: line, ...(stampedAt !== undefined && { timestamp: String(stampedAt) }) });
      }
      await producer.sendBatch({
        topicMessages: [...byTopic].map(([topic, messages]) => ({ topic, messages })),
      });
    }
    await producer.disconnect();
  }

  /** Everything in the topics, by topic, partition and offset. */
  async readAll(): Promise<RawRecord[]> {
    const topics = [this.impressions, this.playback];
    let missing = 0;
    await this.withAdmin(async (admin) => {
      for (const topic of topics) {
        for (const { low, high } of await admin.fetchTopicOffsets(topic)) missing += Number(high) - Number(low);
      }
    });
    const records: RawRecord[] = [];
    const consumer = this.kafka.consumer({ groupId: `reader-${Math.random()}`, maxWaitTimeInMs: 50 });
    await consumer.connect();
    await consumer.subscribe({ topics, fromBeginning: true });
    await new Promise<void>((resolve, reject) => {
      if (missing === 0) resolve();
      consumer
        .run({
          autoCommit: false,
          eachBatch: ({ batch: { topic, partition, messages } }) => {
            for (const message of messagesOf(messages))
              records.push({ topic, partition, offset: Number(message.offset), message });
            if (records.length >= missing) resolve();
            return Promise.resolve();
          },
        })
        .catch(reject);
    });
    await consumer.disconnect();
    return records;
  }

  /** What the oracle reads: the valid events. */
  async readLog(): Promise<LogRecord[]> {
    return (await this.readAll()).flatMap(({ message, ...place }) => {
      const read = parseRecord(message.value, Number(message.timestamp));
      return read.ok ? [{ ...place, event: read.event }] : [];
    });
  }

  /** Runs the real command; its standard output. Fails where it fails. */
  async whence(...args: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(process.execPath, [LAUNCHER, ...args], { env: this.env });
    return stdout;
  }

  /** Starts the real command in the background; it ends with the test, whatever becomes of that. */
  start(...args: string[]): ChildProcess {
    const child = spawn(process.execPath, [LAUNCHER, ...args], { env: this.env, stdio: ['ignore', 'ignore', 'pipe'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    return child;
  }

  /** Waits until exactly so many processes share the partitions, and each has been told which are its own. */
  async shared(by: number, group: 'whence-speed' | 'whence-archive' = 'whence-speed'): Promise<void> {
    const groupId = await findGroupId(this.pool, group);
    await this.withAdmin(async (admin) => {
      for (;;) {
        const { groups } = await admin.describeGroups([groupId]);
        if (groups[0].state === 'Stable' && groups[0].members.length === by) return;
        await sleep(100);
      }
    });
  }

  /** The epoch of each task. */
  async epochs(): Promise<number[]> {
    const { rows } = await this.pool.query<{ epoch: number }>('select epoch from whence.speed_tasks order by task');
    return rows.map((row) => row.epoch);
  }

  /** Everything that the speed layer wrote, but for epochs and times of commits. */
  async fingerprint(): Promise<unknown[]> {
    const { rows } = await this.pool.query(`
      select (select md5(string_agg(p::text, ',' order by play_id)) from whence.speed_plays p) as plays,
        (select md5(string_agg(d::text, ',' order by play_id)) from whence.key_discoveries d) as discoveries,
        (select md5(string_agg(d::text, ',' order by d::text)) from whence.daily_discovery d) as daily,
        (select md5(string_agg(l::text, ',' order by l::text)) from whence.ledger l) as ledger,
        (select count(*) from whence.dead_letters) as dead_letters,
        (select jsonb_object_agg(task, offsets) from whence.speed_tasks) as offsets`);
    return rows;
  }

  async end(): Promise<void> {
    await this.pool.end();
  }

  private route(line: string): { topic: string; key: string | null } {
    try {
      const value = JSON.parse(line) as { type?: unknown; profile_id?: unknown } | null;
      const key = typeof value?.profile_id === 'string' ? value.profile_id : null;
      return { topic: value?.type === 'playback' ? this.playback : this.impressions, key };
    } catch {
      return { topic: this.impressions, key: null };
    }
  }
}

/** Fails where the ledger is not the simulator's own, does not balance to what was sent, or counts other conflicts. */
export async function expectLedger(world: World, lines: readonly string[], ledger: LedgerFile): Promise<void> {
  const counts = ['consumed', 'applied', 'duplicate', 'late', 'excluded', 'dead_lettered'];
  // What has no day of its own is counted on the day on which it was sent: today, or yesterday around midnight.
  const { rows: counted } = await world.pool.query(
    `select case topic when $1 then 'impression' else 'playback' end as topic,
       case when day between current_date - 1 and current_date then null else day end as day,
       ${counts.map((name) => `sum(${name})::int as ${name}`).join(', ')}
     from whence.ledger group by 1, 2 order by 1, 2`,
    [world.impressions],
  );
  expect(sorted(counted as typeof ledger.expected)).toEqual(sorted(ledger.expected));
  const { rows: sums } = await world.pool.query(
    'select sum(consumed)::int as consumed, sum(conflicts)::int as conflicts from whence.ledger',
  );
  expect(sums).toEqual([{ consumed: lines.length, conflicts: ledger.injected.conflicts }]);
  const { rows: letters } = await world.pool.query('select count(*)::int as n from whence.dead_letters');
  expect(letters[0].n).toBe(ledger.expected.reduce((sum, row) => sum + row.dead_lettered, 0));
  await expectRollup(world.pool);
}

function sorted(rows: LedgerFile['expected']): LedgerFile['expected'] {
  const place = (row: LedgerFile['expected'][number]) => `${row.topic} ${(row.day ?? '~').padStart(12, '0')}`;
  return [...rows].sort((a, b) => (place(a) < place(b) ? -1 : 1));
}

/** Lines that go together in one request: a broker takes about a megabyte for one partition. */
function* slices(lines: readonly string[]): Generator<string[]> {
  let slice: string[] = [];
  let bytes = 0;
  for (const line of lines) {
    if (slice.length > 0 && bytes + line.length > 800_000) {
      yield slice;
      slice = [];
      bytes = 0;
    }
    slice.push(line);
    bytes += line.length + 100;
  }
  if (slice.length > 0) yield slice;
}

export function startStack(): Promise<TestStack<'postgres' | 'kafka'>> {
  return startTestStack({ services: ['postgres', 'kafka'] });
}

/** The simulator's lines, and what it says that a reader must count. */
export function simulated(profiles: number, days: number, seed: number) {
  const from = Date.UTC(2025, 10, 1);
  const simulation = simulate({ profiles, days, seed, from });
  const lines: string[] = [];
  for (const batch of simulation.batches) for (const { line } of batch) lines.push(line);
  return { lines, ledger: simulation.ledger() };
}

/** Waits for a process to end, which it may have done already; its exit code, null where a signal ended it. */
export async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode;
}
