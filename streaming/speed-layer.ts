import type { Kafka } from 'kafkajs';
import type { Policy } from '../attribution/policy.ts';
import type { Logger } from '../platform/log.ts';
import type { Pool } from '../platform/postgres.ts';
import { waitUntilCaughtUp } from './caught-up.ts';
import type { OnStep } from './commit.ts';
import { createGroupConsumer, joinGroup, Lifecycle } from './group.ts';
import { DeadLetterRelay } from './relay.ts';
import { findGroupId } from './sql/find-group-id.ts';
import { registerPolicy } from '../merge/register-policy.ts';
import { TaskSet } from './task-set.ts';
import { fetchBounds, findTopics, type SourceTopics, type TopicSettings } from './topics.ts';

const TICK_MS = 500;

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
  const consumer = createGroupConsumer(kafka, await findGroupId(pool), options.sessionTimeoutMs);
  const relay = await DeadLetterRelay.start(kafka, pool, options.dlqTopic, log);
  const tasks = new TaskSet(options, topics.names, consumer, () => fetchBounds(admin, topics.names));

  const ticker = setInterval(() => tasks.tick(), TICK_MS);
  const life = new Lifecycle(async () => {
    clearInterval(ticker);
    await tasks.settle();
    await consumer.disconnect();
    tasks.abandon();
    await relay.stop();
    await admin.disconnect();
  });
  await joinGroup(consumer, topics, tasks, life);
  return {
    topics,
    done: life.done,
    stop: () => life.stop(),
    caughtUp: () => Promise.race([waitUntilCaughtUp(pool, targets, life.ended), life.done]),
  };
}
