import type { KafkaMessage } from 'kafkajs';
import { RecordReader } from '../platform/record-reader.ts';

/** A record as the stream reads it, of what kafkajs would have made of it. */
export function recordOf(message: KafkaMessage): RecordReader {
  const reader = new RecordReader([message], Number(message.offset));
  reader.next();
  return reader;
}

/** The messages of a batch that a client of ours has read, as kafkajs itself would have them. */
export function* messagesOf(messages: readonly KafkaMessage[]): Generator<KafkaMessage> {
  const reader = new RecordReader(messages);
  while (reader.next()) yield reader.message;
}
