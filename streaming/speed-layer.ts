import type { Kafka } from 'kafkajs';
import type { Policy } from '../attribution/policy.ts';
import type { Health } from '../platform/health.ts';
import type { Logger } from '../platform/log.ts';
import { Outage } from '../platform/outage.ts';
import { pipelineBeside, type Pool } from '../platform/postgres.ts';
import { findInstallation } from '../archive/manifest.ts';
import type { Storage } from '../platform/storage.ts';
import { waitUntilCaughtUp } from './caught-up.ts';
import { CHECKPOINT_WORDS } from './checkpoints.ts';
import type { OnStep } from './commit.ts';
import { createGroupConsumer, joinGroup, Lifecycle } from './group.ts';
import { DeadLetterRelay } from './relay.ts';
import { findGroupId } from './sql/find-group-id.ts';
import { registerPolicy } from '../merge/register-policy.ts';
import type { SpeedMetrics } from './speed-metrics.ts';
import { TaskSet } from './task-set.ts';
import { fetchBounds, findTopics, type SourceTopics, type TopicSettings } from './topics.ts';

const TICK_MS = 500;
const LOOK_MS = 5_000;

export interface SpeedLayerOptions extends TopicSettings {
  kafka: Kafka;
  pool: Pool;
  policy: Policy;
  log: Logger;
  dlqTopic: string;
  acceptDataLoss?: boolean;
  /** Where checkpoints stand, and how often a task writes one; without it state is rebuilt from the log. */
  checkpoints?: { storage: Storage; everyMs: number };
  onStep?: OnStep;
  /** After how long without a sign of life a process loses its partitions; 10 s by default. */
  sessionTimeoutMs?: number;
  /** So soon partitions that a topic has gained are found; 30 s by default. */
  metadataMaxAgeMs?: number;
  metrics?: SpeedMetrics;
  /** What tells of servers that are away, and was given to `kafka`, too; one of its own by default. */
  outage?: Outage;
  /** How often Kafka is asked where the logs end; 5 s by default. */
  lookMs?: number;
  /** What has something to do and gets nothing done for so long does not get on; half a minute by default. */
  stalledAfterMs?: number;
}

export interface SpeedLayer {
  topics: SourceTopics;
  /** Resolves when it has stopped; rejects with what ended it. */
  done: Promise<void>;
  /** Resolves when everything that was in the log at the start is committed, by whichever process. */
  caughtUp(): Promise<void>;
  /** Commits what was read, then leaves the group. */
  stop(): Promise<void>;
  /** Whether it gets on with what there is to read. */
  health(): Health;
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
  const consumer = createGroupConsumer(
    kafka,
    await findGroupId(pool),
    options.sessionTimeoutMs,
    options.metadataMaxAgeMs,
  );
  const outage = options.outage ?? new Outage(log);
  const relay = await DeadLetterRelay.start(kafka, pool, options.dlqTopic, log, outage);
  const checkpoints = options.checkpoints && {
    ...options.checkpoints,
    trouble: new Outage(log, CHECKPOINT_WORDS),
    installation: await findInstallation(pool),
  };
  const pipeline = pipelineBeside(pool, log);
  const tasks = new TaskSet({ ...options, pipeline, outage, checkpoints }, topics.names, consumer, () =>
    fetchBounds(admin, topics.names),
  );

  options.metrics?.watch(() => tasks.views(), outage, pool);
  const looker = setInterval(() => void tasks.noteEnds(), options.lookMs ?? LOOK_MS);
  const ticker = setInterval(() => tasks.tick(), TICK_MS);
  const life = new Lifecycle(async () => {
    clearInterval(ticker);
    clearInterval(looker);
    await tasks.settle();
    await consumer.disconnect();
    tasks.abandon();
    await pipeline.end();
    await relay.stop();
    await admin.disconnect();
  });
  await joinGroup(consumer, topics, tasks, life);
  return {
    topics,
    done: life.done,
    stop: () => life.stop(),
    health: () => tasks.health(),
    caughtUp: () => Promise.race([waitUntilCaughtUp(pool, targets, life.ended), life.done]),
  };
}
