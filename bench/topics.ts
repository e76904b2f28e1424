import type { Kafka } from 'kafkajs';
import { createTopics, withAdmin } from '../platform/kafka.ts';

const PARTITIONS = 6;

/** Makes the topics that `whence stream` reads and writes by default. */
export function createStreamTopics(kafka: Kafka): Promise<void> {
  const topics = ['impressions', 'playback', 'whence.dlq'].map((topic) => ({ topic, numPartitions: PARTITIONS }));
  return withAdmin(kafka, (admin) => createTopics(admin, topics));
}
