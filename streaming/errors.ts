import { isPassing } from '../platform/passing.ts';

/** The topics that are read together do not have the same number of partitions. */
export class UnequalPartitionsError extends Error {
  override readonly name = 'UnequalPartitionsError';
  constructor(partitions: ReadonlyMap<string, number>) {
    const counts = [...partitions].map(([topic, count]) => `  ${topic}: ${count}`).join('\n');
    super(
      `The impression and playback topics must have the same number of partitions, so that all events of a profile meet ` +
        `in one task; found\n${counts}\nGive all of them the greatest of these numbers (kafka-topics.sh --alter ` +
        `--partitions N) before events are sent, or choose other topics with WHENCE_IMPRESSION_TOPICS and ` +
        `WHENCE_PLAYBACK_TOPICS.`,
    );
  }
}

/** A topic that is named in the settings is not there, or a pattern matches none. */
export class MissingTopicError extends Error {
  override readonly name = 'MissingTopicError';
  constructor(setting: string, wanted: string, brokers: readonly string[]) {
    super(
      `Kafka at ${brokers.join(', ')} has no topic ${wanted}, which ${setting} asks for; create it (the local stack's ` +
        `topics are made by: npx whence up), or change ${setting}.`,
    );
  }
}

/** The topic of the dead letters is named as one to read from. */
export class DeadLetterTopicError extends Error {
  override readonly name = 'DeadLetterTopicError';
  constructor(setting: string, topic: string) {
    super(`${setting} names ${topic}, the topic of the dead letters: they would come back without end. Name another.`);
  }
}

/** What is to be done where the log and the stored offsets no longer agree. */
const ACCEPT_LOSS =
  'To go on with what the log still holds, knowing that events are missing, run once: npx whence stream --accept-data-loss';

/** The log no longer holds records that are still to be read. */
export class RecordsLostError extends Error {
  override readonly name = 'RecordsLostError';
  constructor(topic: string, partition: number, wanted: number, earliest: number, what: string) {
    super(
      `${topic}/${partition}: ${what} needs offset ${wanted}, but the log begins at ${earliest}: Kafka's retention deleted ` +
        `what was not read yet. Nothing was changed. ${ACCEPT_LOSS}`,
    );
  }
}

/** A topic was deleted and created anew: its offsets now mean other records. */
export class TopicRecreatedError extends Error {
  override readonly name = 'TopicRecreatedError';
  constructor(
    readonly topic: string,
    partition: number,
    why: string,
  ) {
    super(
      `${topic}/${partition}: the topic is not the one that was read before (${why}): it was re-created or its log cut. ` +
        `Nothing was changed. ${ACCEPT_LOSS}`,
    );
  }
}

/** Another process has taken the task: whatever this one still wanted to write is void. */
export class FencedError extends Error {
  override readonly name = 'FencedError';
  constructor(task: number, epoch: number) {
    super(`Task ${task} was taken by another process (its epoch is no longer ${epoch})`);
  }
}

/** Errors that end the process with their own words; what kafkajs throws is its to handle. */
export function isOurs(error: unknown): error is Error {
  return error instanceof Error && !error.name.startsWith('KafkaJS');
}

/** Whether taking a task has failed because Kafka or Postgres is away: it is tried again. */
export function isServerAway(error: unknown): error is Error {
  return error instanceof Error && (!isOurs(error) || isPassing(error));
}

export function errorOf(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
