/** A small log on a real Postgres and real archive files, streamed, archived and reconciled step by step. */

import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { KafkaMessage } from 'kafkajs';
import { FORMAT, prefixOf } from '../../archive/file.ts';
import { findInstallation } from '../../archive/manifest.ts';
import { publishFile } from '../../archive/publish.ts';
import { ArchiveWriter } from '../../archive/writer.ts';
import { defaultPolicy, type Policy } from '../../attribution/policy.ts';
import { utcDay } from '../../attribution/time.ts';
import type { BatchDeps, CommitSummary } from '../../batch/advance.ts';
import { advance } from '../../batch/advance-here.ts';
import type { CommitOptions } from '../../batch/commit-attempt.ts';
import { findHold } from '../../batch/hold.ts';
import { createDatabase, startTestStack } from '../../local/testing.ts';
import { registerPolicy } from '../../merge/register-policy.ts';
import { silentLogger } from '../../platform/log.ts';
import { openPool, pipelineBeside, type Pool } from '../../platform/postgres.ts';
import { openLocalStorage, type Storage } from '../../platform/storage.ts';
import { commitFile } from '../../streaming/archiver-commit.ts';
import { commitDeltas } from '../../streaming/commit.ts';
import { takeArchiveTask } from '../../streaming/sql/archive-tasks.ts';
import { takeTask } from '../../streaming/sql/take-task.ts';
import { TaskState, type TopicOffset } from '../../streaming/task-state.ts';
import type { LogRecord } from '../oracle/oracle.ts';
import { recordOf } from '../records.ts';

/** What many little worlds share: one database, emptied between them. */
export interface Ground {
  pool: Pool;
  /** Beside it, for commits of the speed layer. */
  pipeline: Pool;
  databaseUrl: string;
  storage: Storage;
  writer: ArchiveWriter;
  directory: string;
  /** Kills Postgres (−9) and starts it again. */
  restartPostgres(): Promise<void>;
  stop(): Promise<void>;
}

/** @param open the storage, where it is to be another than the local folder */
export async function openGround(open = openLocalStorage): Promise<Ground> {
  const stack = await startTestStack({ services: ['postgres'] });
  const databaseUrl = await createDatabase(stack.postgres.databaseUrl);
  const pool = await openPool({ databaseUrl, applicationName: 'whence-test', log: silentLogger(), max: 8 });
  const pipeline = pipelineBeside(pool, silentLogger());
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'whence-batch-'));
  const writer = await ArchiveWriter.open(directory);
  return {
    pool,
    pipeline,
    databaseUrl,
    storage: await open(path.join(directory, 'data')),
    writer,
    directory,
    async restartPostgres() {
      await stack.postgres.kill();
      await stack.restart('postgres');
    },
    async stop() {
      writer.close();
      await Promise.all([pool.end(), pipeline.end()]);
      await stack.stop();
      await fs.rm(directory, { recursive: true, force: true });
    },
  };
}

const TABLES = [
  ['speed_tasks', 'speed_plays', 'key_discoveries', 'daily_shares', 'ledger', 'dead_letters'],
  ['archive_tasks', 'archive_files', 'archive_file_days', 'batch_corrections', 'batch_uncompared'],
  ['batch_versions', 'rollbacks', 'batch_head', 'batch_horizons', 'batch_days', 'batch_plays'],
  ['audit_failures', 'volume_exceptions', 'batch_attempts', 'batch_units', 'batch_dirty_keys', 'batch_staged_plays'],
  ['backfills', 'backfill_days', 'backfill_changes', 'measured_units'],
  ['settled_days', 'removed_objects', 'dataset_builds', 'noting', 'noted_keys'],
].flat();

let worlds = 0;

interface Task {
  state: TaskState;
  epoch: number;
  from: Record<string, TopicOffset>;
}

export class LittleWorld {
  readonly ground: Ground;
  readonly log: readonly LogRecord[];
  readonly deps: BatchDeps;
  readonly partitions: number[];
  readonly topics: string[];
  readonly installation: string;
  readonly #tasks = new Map<number, Task>();
  readonly #archived = new Map<string, number>();
  #owners = 0;
  /** Every playback event counts, in both layers. */
  isPlain = false;

  private constructor(ground: Ground, log: readonly LogRecord[], policy: Policy, installation: string) {
    this.ground = ground;
    this.log = log;
    this.installation = installation;
    this.topics = [...new Set(log.map((record) => record.topic))].sort();
    this.partitions = [...new Set(log.map((record) => record.partition))].sort();
    const { pool, storage, directory } = ground;
    // In every other world no key is looked for by name, as where there are many.
    this.deps = { pool, storage, policy, log: silentLogger(), scratch: directory, ...(worlds % 4 < 2 && { few: 0 }) };
  }

  static async create(ground: Ground, log: readonly LogRecord[], policy = defaultPolicy): Promise<LittleWorld> {
    await ground.pool.query(`truncate ${TABLES.map((table) => `whence.${table}`).join(', ')} restart identity cascade`);
    await registerPolicy(ground.pool, policy);
    // In every other world plays are looked up key by key, as where there are very many.
    if (++worlds % 2 === 0) {
      await ground.pool.query(`update pg_class set reltuples = 1e6 where oid = 'whence.speed_plays'::regclass`);
    }
    const world = new LittleWorld(ground, log, policy, await findInstallation(ground.pool));
    for (const partition of world.partitions) {
      const { epoch } = await takeTask(ground.pool, partition, 40 * 60_000);
      const state = new TaskState(partition, world.topics, policy, {}, {});
      world.#tasks.set(partition, { state, epoch, from: {} });
    }
    return world;
  }

  /** Every topic-partition of the log. */
  get places(): { topic: string; partition: number }[] {
    return this.topics.flatMap((topic) => this.partitions.map((partition) => ({ topic, partition })));
  }

  /** UTC days of the log's events, in order. */
  get days(): string[] {
    return [...new Set(this.log.map((record) => utcDay(record.event.event_time)))].sort();
  }

  recordsOf(topic: string, partition: number): LogRecord[] {
    return this.log.filter((record) => record.topic === topic && record.partition === partition);
  }

  /** The offset up to which a topic-partition was streamed. */
  streamedTo(topic: string, partition: number): number {
    return this.#tasks.get(partition)?.state.position(this.topics.indexOf(topic)) ?? 0;
  }

  archivedTo(topic: string, partition: number): number {
    return this.#archived.get(`${topic}/${partition}`) ?? 0;
  }

  /** The records that the stream has read. */
  get streamed(): LogRecord[] {
    return this.log.filter(({ topic, partition, offset }) => offset < this.streamedTo(topic, partition));
  }

  /** Streams so many records of a partition, of its topics in turn, and commits. */
  async stream(partition: number, atMost: number): Promise<void> {
    const task = this.#tasks.get(partition);
    if (task === undefined) return;
    const logs = this.topics.map((topic) => this.recordsOf(topic, partition));
    for (let read = 0; read < atMost; read++) {
      const open = logs.flatMap((records, topic) => {
        const next = records[task.state.position(topic)] as LogRecord | undefined;
        return next === undefined ? [] : [{ topic, next }];
      });
      if (open.length === 0) break;
      const { topic, next } = open[read % open.length];
      task.state.read(topic, recordOf(messageOf(next)), false);
    }
    const delta = task.state.takeDelta(this.topics.map(() => false));
    await commitDeltas(this.ground, [{ task: partition, epoch: task.epoch, from: task.from, delta }]);
    task.from = delta.offsets;
  }

  /** Archives so many records of a topic-partition, as one file. */
  async archive(topic: string, partition: number, atMost: number): Promise<void> {
    const { pool, storage, writer, directory } = this.ground;
    const from = this.archivedTo(topic, partition);
    const records = this.recordsOf(topic, partition).slice(from, from + atMost);
    if (records.length === 0) return;
    const { task, epoch, last_path } = await takeArchiveTask(pool, topic, partition);
    const buffer = await writer.begin();
    for (const { offset, event } of records) buffer.append({ offset, stampedAt: event.event_time, event });
    const to = from + records.length;
    const range = { format: FORMAT, topic, partition, log: 0, from, to, previous: last_path, createdAt: 1 } as const;
    const places = { storage, prefix: prefixOf(this.installation), scratch: directory };
    const file = await publishFile(places, buffer, { ...range, after: { log: 0, offset: from } });
    await buffer.drop();
    await commitFile(pool, storage, { task, epoch, at: { log: 0, offset: from } }, file, null);
    this.#archived.set(`${topic}/${partition}`, to);
  }

  /** Has a topic-partition be known to have been read to its end an hour ago and to be quiet since: it is complete. */
  async fallQuiet(topic: string, partition: number): Promise<void> {
    await takeArchiveTask(this.ground.pool, topic, partition);
    await this.ground.pool.query(
      `update whence.archive_tasks set quiet_since = now() - interval '2 hours', end_seen_at = now()
       where topic = $1 and partition = $2`,
      [topic, partition],
    );
  }

  /** Whether a version was rolled back to, and not released. */
  async isHeld(): Promise<boolean> {
    return (await findHold(this.ground.pool)) !== null;
  }

  async reconcile(...days: string[]): Promise<CommitSummary> {
    return this.reconcileBeside(days, {});
  }

  /** The same with something else between the steps of its commit. */
  async reconcileBeside(days: readonly string[], options: CommitOptions): Promise<CommitSummary> {
    return advance(this.deps, { days, cause: 'test', actor: 'test', owner: `test ${++this.#owners}` }, options);
  }

  /** Streams, archives and completes everything, and covers every day that has an event. */
  async finish(): Promise<void> {
    for (const partition of this.partitions) await this.stream(partition, Infinity);
    for (const { topic, partition } of this.places) {
      await this.archive(topic, partition, Infinity);
      await this.fallQuiet(topic, partition);
    }
    await this.reconcile(...this.days);
  }
}

function messageOf({ offset, event }: LogRecord): KafkaMessage {
  const value = Buffer.from(JSON.stringify(event));
  return { key: null, value, timestamp: '-1', attributes: 0, offset: String(offset), headers: {} };
}
