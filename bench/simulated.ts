import type { Producer } from 'kafkajs';

/** A line of the simulator, on its way to Kafka. */
export interface SimulatedMessage {
  topic: 'impressions' | 'playback';
  key: string | null;
  value: string;
}

/** Where a line goes, by what it looks like: poison is sent, too. */
export function messageOf(line: string): SimulatedMessage {
  const topic = line.includes('"type":"playback"') ? 'playback' : 'impressions';
  return { topic, key: /"profile_id":"([^"]+)"/.exec(line)?.[1] ?? null, value: line };
}

export async function sendAll(producer: Producer, messages: readonly SimulatedMessage[]): Promise<void> {
  const topicMessages = (['impressions', 'playback'] as const).map((topic) => ({
    topic,
    messages: messages.filter((message) => message.topic === topic),
  }));
  await producer.sendBatch({ topicMessages: topicMessages.filter((each) => each.messages.length > 0) });
}
