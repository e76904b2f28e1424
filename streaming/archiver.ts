import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Admin, Kafka } from 'kafkajs';
import { prefixOf } from '../archive/file.ts';
import { findInstallation } from '../archive/manifest.ts';
import { removeOrphans } from '../archive/orphans.ts';
import { ArchiveWriter } from '../archive/writer.ts';
import type { Health } from '../platform/health.ts';
import type { Logger } from '../platform/log.ts';
import { Outage } from '../platform/outage.ts';
import { isPassing } from '../platform/passing.ts';
import type { Pool } from '../platform/postgres.ts';
import type { Storage } from '../platform/storage.ts';
import type { ArchiveMetrics } from './archive-metrics.ts';
import { archiveTargets, waitUntilArchived } from './archiver-caught-up.ts';
import type { OnArchiveStep } from './archiver-commit.ts';
import { ArchiveTaskSet, nameOf, type RollLimits } from './archiver-tasks.ts';
import { readWanted } from './sql/archive-tasks.ts';
import { errorOf, isServerAway } from './errors.ts';
import { createGroupConsumer, joinGroup, Lifecycle } from './group.ts';
import { findGroupId } from './sql/find-group-id.ts';
import { fetchBounds, findTopics, type SourceTopics, type TopicSettings } from './topics.ts';

const TICK_MS = 250;
/** How often it is looked whether somebody waits for the archive. */
const WANTED_MS = 1_000;
/** How often it is looked where the logs end. */
const LOOK_MS = 30_000;

/**
 * Where much comes, files of up to half a million records, fewer where many partitions share the memory; where little comes,
 * twelve files an hour. What is held takes about three times its JSON in memory.
 */
export const ROLL_LIMITS: RollLimits = {
  rows: 500_000,
  bytes: 128 * 1024 * 1024,
  ms: 5 * 60 * 1000,
  heldBytes: 128 * 1024 * 1024,
};

export interface ArchiverOptions extends TopicSettings {
  kafka: Kafka;
  pool: Pool;
  storage: Storage;
  log: Logger;
  acceptDataLoss?: boolean;
  /** Departures from `ROLL_LIMITS`. */
  roll?: Partial<RollLimits>;
  onStep?: OnArchiveStep;
  /** After how long without a sign of life a process loses its partitions; 10 s by default. */
  sessionTimeoutMs?: number;
  /** How often it is looked where the logs end; half a minute by default. */
  lookMs?: number;
  metrics?: ArchiveMetrics;
  /** What tells of servers that are away, and was given to `kafka`, too; one of its own by default. */
  outage?: Outage;
  /** What has something to do and gets nothing done for so long does not get on; half a minute by default. */
  stalledAfterMs?: number;
}

export interface Archiver {
  topics: SourceTopics;
  /** Resolves when it has stopped; rejects with what ended it. */
  done: Promise<void>;
  /** Resolves when everything that was in the logs at the start is archived, by whichever process. */
  caughtUp(): Promise<void>;
  /** Archives what was read, then leaves the group. */
  stop(): Promise<void>;
  /** Whether it gets on with what there is to archive. */
  health(): Health;
}

/**
 * Starts the archiver in this process: joins the group, and archives the topic-partitions that it is given. What earlier
 * processes published and never committed is removed on the way.
 *
 * @throws MissingTopicError, UnequalPartitionsError
 */
export async function startArchiver(options: ArchiverOptions): Promise<Archiver> {
  const { kafka, pool, storage, log } = options;
  const admin = kafka.admin();
  await admin.connect();
  const { topics, targets, prefix, groupId } = await prepare(options, admin).catch(async (error: unknown) => {
    await admin.disconnect();
    throw error;
  });
  const scratch = await fs.mkdtemp(path.join(os.tmpdir(), 'whence-archive-'));
  const writer = await ArchiveWriter.open(scratch);
  const consumer = createGroupConsumer(kafka, groupId, options.sessionTimeoutMs);
  const bounds = () => fetchBounds(admin, topics.names);
  const limits = { ...ROLL_LIMITS, ...options.roll };
  const { outage = new Outage(log), lookMs = LOOK_MS } = options;
  const told = { ...options, outage, lookMs };
  const tasks = new ArchiveTaskSet(told, limits, { storage, prefix, scratch }, writer, consumer, bounds);
  options.metrics?.watch(() => tasks.views(), outage);

  const sweeping = removeOrphans(storage, prefix, pool).then(
    (removed) => removed.length > 0 && log.info({ removed }, 'removed files of the archive that were never committed'),
    (error: unknown) => log.warn({ err: error }, 'could not look for files of the archive that were never committed'),
  );
  /** What passes is told again by the next look. */
  const unlessPassing = (error: unknown) => {
    if (!isServerAway(error)) life.fail(errorOf(error));
  };
  const noteEnds = () => tasks.noteEnds().catch(unlessPassing);
  const heedWanted = async () => {
    const wanted = await readWanted(pool).catch((error: unknown) => {
      if (error instanceof Error && isPassing(error)) outage.began('archive', error);
      throw error;
    });
    outage.ended('archive');
    tasks.rollAt(
      new Map(wanted.map(({ topic, partition, wanted_offset: offset }) => [nameOf(topic, partition), offset])),
    );
  };
  const ticker = setInterval(() => tasks.tick(), TICK_MS);
  const looker = setInterval(() => void noteEnds(), lookMs);
  const asker = setInterval(() => void heedWanted().catch(unlessPassing), WANTED_MS);
  const life: Lifecycle = new Lifecycle(async () => {
    clearInterval(ticker);
    clearInterval(looker);
    clearInterval(asker);
    await tasks.settle();
    if (!life.failed) await noteEnds();
    await consumer.disconnect();
    await tasks.abandon();
    await sweeping;
    writer.close();
    await fs.rm(scratch, { recursive: true, force: true });
    await admin.disconnect();
  });
  await joinGroup(consumer, topics, tasks, life);
  return {
    topics,
    done: life.done,
    stop: () => life.stop(),
    health: () => tasks.health(),
    caughtUp() {
      tasks.rollAt(new Map(targets.map(({ topic, partition, next }) => [nameOf(topic, partition), next])));
      return Promise.race([waitUntilArchived(pool, targets, life.ended), life.done]);
    },
  };
}

/** Looks at the topics, and where they end; finds the names of what belongs to this installation. */
async function prepare(options: ArchiverOptions, admin: Admin) {
  const { pool } = options;
  const topics = await findTopics(admin, options);
  return {
    topics,
    targets: await archiveTargets(pool, admin, topics.names),
    prefix: prefixOf(await findInstallation(pool)),
    groupId: await findGroupId(pool, 'whence-archive'),
  };
}
