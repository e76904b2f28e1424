import { once } from 'node:events';
import type { Kafka } from 'kafkajs';
import type { Policy } from '../attribution/policy.ts';
import type { Logger } from '../platform/log.ts';
import type { Pool } from '../platform/postgres.ts';
import { copartitionAssigner } from './assigner.ts';
import { waitUntilCaughtUp } from './caught-up.ts';
import type { OnStep } from './commit.ts';
import { DeadLetterRelay } from './relay.ts';
import { findGroupId } from './sql/find-group-id.ts';
import { registerPolicy } from './sql/register-policy.ts';
import { TaskSet } from './task-set.ts';
import { fetchBounds, findTopics, type SourceTopics, type TopicSettings } from './topics.ts';

const SESSION_TIMEOUT_MS = 10_000;
const HEARTBEAT_MS = 500;
const FETCH_WAIT_MS = 100;
const TICK_MS = 500;
/** kafkajs restarts a consumer that crashed; so often without any commit between, and it is no passing fault. */
const MOST_CRASHES = 10;

export interface SpeedLayerOptions extends TopicSettings {
  kafka: Kafka;
  pool: Pool;
  policy: Policy;
  log: Logger;
  dlqTopic: string;
  acceptDataLoss?: boolean;
  onStep?: OnStep;
  /** After how long without a sign of life a process loses its partitions; 10 s by default. */
  sessionTimeoutMs?: number;
}

export interface SpeedLayer {
  topics: SourceTopics;
  /** Resolves when it has stopped; rejects with what ended it. */
  done: Promise<void>;
  /** Resolves when everything that was in the log at the start is committed, by whichever process. */
  caughtUp(): Promise<void>;
  /** Commits what was read, then leaves the group. */
  stop(): Promise<void>;
}

/**
 * Starts the speed layer in this process: joins the group, and runs a task for each partition number that it is given.
 *
 * @throws MissingTopicError, UnequalPartitionsError
 */
export async function startSpeedLayer(options: SpeedLayerOptions): Promise<SpeedLayer> {
  const { kafka, pool, policy, log } = options;
  const admin = kafka.admin();
  await admin.connect();
  const topics = await findTopics(admin, options).catch(async (error: unknown) => {
    await admin.disconnect();
    throw error;
  });
  const targets = await fetchBounds(admin, topics.names);
  await registerPolicy(pool, policy);
  const consumer = kafka.consumer({
    groupId: await findGroupId(pool),
    partitionAssigners: [copartitionAssigner],
    sessionTimeout: options.sessionTimeoutMs ?? SESSION_TIMEOUT_MS,
    heartbeatInterval: HEARTBEAT_MS,
    maxWaitTimeInMs: FETCH_WAIT_MS,
    maxBytesPerPartition: 2 * 1024 * 1024,
    allowAutoTopicCreation: false,
  });
  const relay = await DeadLetterRelay.start(kafka, pool, options.dlqTopic, log);
  const tasks = new TaskSet(options, topics.names, consumer, () => fetchBounds(admin, topics.names));

  let failure: Error | null = null;
  let stopping: Promise<void> | null = null;
  const ended = new AbortController();
  const end = async (): Promise<void> => {
    clearInterval(ticker);
    await tasks.settle();
    await consumer.disconnect();
    tasks.abandon();
    await relay.stop();
    await admin.disconnect();
    ended.abort();
  };
  const stop = () => (stopping ??= end());
  const fail = (error: Error): void => {
    failure ??= error;
    void stop();
  };
  const ticker = setInterval(() => tasks.tick(), TICK_MS);
  const done = (async () => {
    await once(ended.signal, 'abort');
    if (failure !== null) throw failure;
  })();
  // Whoever never asks for `done` still hears of a failure from `caughtUp`.
  done.catch(() => {});
  let crashes = 0;
  tasks.onProgress = () => (crashes = 0);
  tasks.onFatal = fail;
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (stopping === null && (!payload.restart || ++crashes >= MOST_CRASHES)) fail(payload.error);
  });

  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => tasks.assign(payload.memberAssignment));
  // kafkajs passes over a fetch without any record for us (transaction markers); the position must follow.
  consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
    if (payload.batchSize === 0) tasks.skipTo(payload.topic, payload.partition, Number(payload.lastOffset) + 1);
  });
  await consumer.connect();
  await consumer.subscribe({ topics: topics.names, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    partitionsConsumedConcurrently: topics.partitions * topics.names.length,
    eachBatch: (payload) => tasks.readBatch(payload),
  });
  return {
    topics,
    done,
    stop,
    caughtUp: () => Promise.race([waitUntilCaughtUp(pool, targets, ended.signal), done]),
  };
}
