import type { Admin, PartitionMetadata } from 'kafkajs';
import { selectTopics } from '../platform/kafka.ts';
import type { TopicSelector } from '../platform/settings.ts';

export interface TargetSettings {
  impressionTopics: readonly TopicSelector[];
  playbackTopics: readonly TopicSelector[];
}

/** A topic that is to be sent to is not there. */
export class NoSuchTopicError extends Error {
  override readonly name = 'NoSuchTopicError';
  constructor(setting: string, wanted: TopicSelector) {
    const missing = typeof wanted === 'string' ? `no topic "${wanted}"` : `no topic that matches ${String(wanted)}`;
    super(
      `Kafka has ${missing}, which ${setting} asks for; ` +
        `create the topics with: npx whence up, or set ${setting} to topics that exist`,
    );
  }
}

/** Where lines go, by their type, and the partitions there. */
export interface Targets {
  impression: string;
  playback: string;
  partitions: ReadonlyMap<string, PartitionMetadata[]>;
}

/**
 * The first topic of each kind: the one named first, or the first in code unit order that the first pattern matches.
 *
 * @throws NoSuchTopicError
 */
export async function findTargets(admin: Admin, settings: TargetSettings): Promise<Targets> {
  const known = await admin.listTopics();
  const first = (setting: string, [selector]: readonly TopicSelector[]): string => {
    const [topic] = selectTopics([selector], known);
    if (topic === undefined) throw new NoSuchTopicError(setting, selector);
    return topic;
  };
  const impression = first('WHENCE_IMPRESSION_TOPICS', settings.impressionTopics);
  const playback = first('WHENCE_PLAYBACK_TOPICS', settings.playbackTopics);
  const { topics } = await admin.fetchTopicMetadata({ topics: [...new Set([impression, playback])] });
  return { impression, playback, partitions: new Map(topics.map(({ name, partitions }) => [name, partitions])) };
}
