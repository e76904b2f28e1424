import { once } from 'node:events';
import type { Consumer, EachBatchPayload, Kafka } from 'kafkajs';
import { isAway } from '../platform/kafka.ts';
import { copartitionAssigner } from './assigner.ts';
import type { SourceTopics } from './topics.ts';

const SESSION_TIMEOUT_MS = 10_000;
const HEARTBEAT_MS = 500;
const FETCH_WAIT_MS = 100;
/** So soon partitions that a topic has gained are found, and the group assigns anew. */
const METADATA_MAX_AGE_MS = 30_000;
/** kafkajs restarts a consumer that crashed; so often without any commit between, and it is no passing fault. */
const MOST_CRASHES = 10;

/** What reads the partitions that the group gives to this process. */
export interface GroupTasks {
  /** By topic, the partitions that are ours from now on. */
  assign(assignment: Record<string, number[]>): void;
  readBatch(payload: EachBatchPayload): Promise<void>;
  /** The records from `first` to before `end` were fetched, and are none of ours. */
  skipTo(topic: string, partition: number, first: number, end: number): void;
  /** To be called at each commit, and when nothing can go on. */
  onProgress: () => void;
  onFatal: (error: Error) => void;
}

/** The life of something that runs until it is stopped or fails: it ends once, in order, and whoever waits is told. */
export class Lifecycle {
  #failure: Error | null = null;
  #stopping: Promise<void> | null = null;
  readonly #ended = new AbortController();
  readonly #end: () => Promise<void>;
  /** Resolves when it has stopped; rejects with what ended it. */
  readonly done: Promise<void>;

  /** @param end closes everything; called once */
  constructor(end: () => Promise<void>) {
    this.#end = end;
    this.done = this.#wait();
    // Whoever never asks for `done` still hears of a failure from whatever else is awaited.
    this.done.catch(() => {});
  }

  /** Aborted when it has ended. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  get failed(): boolean {
    return this.#failure !== null;
  }

  get stopping(): boolean {
    return this.#stopping !== null;
  }

  stop(): Promise<void> {
    return (this.#stopping ??= this.#close());
  }

  fail(error: Error): void {
    this.#failure ??= error;
    void this.stop();
  }

  async #close(): Promise<void> {
    try {
      await this.#end();
    } catch (error) {
      this.#failure ??= error instanceof Error ? error : new Error(String(error));
    } finally {
      this.#ended.abort();
    }
  }

  async #wait(): Promise<void> {
    await once(this.#ended.signal, 'abort');
    if (this.#failure !== null) throw this.#failure;
  }
}

/**
 * A consumer whose group only assigns: the same partition number of all topics to one member. Offsets are not Kafka's to keep.
 *
 * @param sessionTimeoutMs after how long without a sign of life a process loses its partitions; 10 s by default
 * @param metadataMaxAgeMs how old what is known of the topics may be; 30 s by default
 */
export function createGroupConsumer(
  kafka: Kafka,
  groupId: string,
  sessionTimeoutMs = SESSION_TIMEOUT_MS,
  metadataMaxAgeMs = METADATA_MAX_AGE_MS,
): Consumer {
  return kafka.consumer({
    groupId,
    partitionAssigners: [copartitionAssigner],
    sessionTimeout: sessionTimeoutMs,
    heartbeatInterval: HEARTBEAT_MS,
    metadataMaxAge: metadataMaxAgeMs,
    maxWaitTimeInMs: FETCH_WAIT_MS,
    maxBytesPerPartition: 2 * 1024 * 1024,
    allowAutoTopicCreation: false,
  });
}

/** Joins the group and reads with the tasks, until the consumer is disconnected. Faults that do not pass end the life. */
export async function joinGroup(
  consumer: Consumer,
  topics: SourceTopics,
  tasks: GroupTasks,
  life: Lifecycle,
): Promise<void> {
  let crashes = 0;
  tasks.onProgress = () => (crashes = 0);
  tasks.onFatal = (error) => life.fail(error);
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (life.stopping) return;
    // Brokers that are away are waited for, as Postgres is; health says so.
    const waits = payload.restart && isAway(payload.error);
    if (!waits && (!payload.restart || ++crashes >= MOST_CRASHES)) life.fail(payload.error);
  });
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => tasks.assign(payload.memberAssignment));
  // kafkajs passes over a fetch without any record for us (transaction markers); the position must follow.
  consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
    const { topic, partition, firstOffset, lastOffset, batchSize } = payload;
    if (batchSize > 0 || firstOffset === null) return;
    tasks.skipTo(topic, partition, Number(firstOffset), Number(lastOffset) + 1);
  });
  try {
    await consumer.connect();
    await consumer.subscribe({ topics: topics.names, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      partitionsConsumedConcurrently: topics.partitions * topics.names.length,
      eachBatch: (payload) => tasks.readBatch(payload),
    });
  } catch (error) {
    // Whoever started us gets nothing to stop.
    await life.stop();
    throw error;
  }
}
