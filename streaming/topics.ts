import type { Admin } from 'kafkajs';
import { askAgain, selectTopics } from '../platform/kafka.ts';
import type { TopicSelector } from '../platform/settings.ts';
import { DeadLetterTopicError, MissingTopicError, UnequalPartitionsError } from './errors.ts';

export interface TopicSettings {
  impressionTopics: readonly TopicSelector[];
  playbackTopics: readonly TopicSelector[];
  brokers: readonly string[];
  /** Never read, whatever the patterns match: its records would come back as dead letters without end. */
  dlqTopic: string;
}

/** The topics that are read, in code unit order: the order that decides between copies in several topics. */
export interface SourceTopics {
  names: string[];
  partitions: number;
}

/**
 * Finds the topics that the settings name or match.
 *
 * @throws MissingTopicError, DeadLetterTopicError, UnequalPartitionsError
 */
export async function findTopics(admin: Admin, settings: TopicSettings): Promise<SourceTopics> {
  const known = (await admin.listTopics()).filter((name) => name !== settings.dlqTopic);
  const chosen = new Set<string>();
  const kinds = [
    ['WHENCE_IMPRESSION_TOPICS', settings.impressionTopics],
    ['WHENCE_PLAYBACK_TOPICS', settings.playbackTopics],
  ] as const;
  for (const [setting, selectors] of kinds) {
    for (const selector of selectors) {
      if (selector === settings.dlqTopic) throw new DeadLetterTopicError(setting, selector);
      const found = selectTopics([selector], known);
      if (found.length === 0) throw new MissingTopicError(setting, String(selector), settings.brokers);
      found.forEach((name) => chosen.add(name));
    }
  }
  const names = [...chosen].sort();
  const { topics } = await admin.fetchTopicMetadata({ topics: names });
  const partitions = new Map(
    names.map((name) => [name, topics.find((topic) => topic.name === name)?.partitions.length ?? 0]),
  );
  const counts = new Set(partitions.values());
  if (counts.size !== 1) throw new UnequalPartitionsError(partitions);
  return { names, partitions: Math.max(...counts) };
}

/** Where a topic-partition's log begins, and the offset of its next record. */
export interface LogBounds {
  earliest: number;
  next: number;
}

/** The bounds of all partitions: by topic, then partition. */
export async function fetchBounds(
  admin: Pick<Admin, 'fetchTopicOffsets'>,
  topics: readonly string[],
): Promise<Map<string, LogBounds[]>> {
  const bounds = await Promise.all(
    topics.map(async (topic) => {
      const ofTopic: LogBounds[] = [];
      for (const { partition, low, high } of await askAgain(() => admin.fetchTopicOffsets(topic))) {
        ofTopic[partition] = { earliest: Number(low), next: Number(high) };
      }
      return [topic, ofTopic] as const;
    }),
  );
  return new Map(bounds);
}
