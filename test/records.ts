import type { KafkaMessage } from 'kafkajs';
import { RecordReader } from '../platform/record-reader.ts';

/** A record as the stream reads it, of what kafkajs would have made of it. */
export function recordOf(message: KafkaMessage): RecordReader {
  const reader = new RecordReader([message], Number(message.offset));
  reader.next();
  return reader;
}

/** A record without a key, of its value alone; `timestamp` -1 is none. */
export function recordOfValue(value: Buffer, offset: number, timestamp = '-1'): RecordReader {
  return recordOf({ key: null, value, offset: String(offset), timestamp, attributes: 0, headers: {} });
}

/** Lines of a simulated log, in the order in which one task reads them: by topic, impressions and playback. */
export function* recordsOfLines(lines: readonly string[]): Generator<{ topic: number; record: RecordReader }> {
  for (const [offset, line] of lines.entries()) {
    const topic = line.includes('"type":"playback"') ? 1 : 0;
    yield { topic, record: recordOfValue(Buffer.from(line), offset, '1790000000000') };
  }
}

/** The messages of a batch that a client of ours has read, as kafkajs itself would have them. */
export function* messagesOf(messages: readonly KafkaMessage[]): Generator<KafkaMessage> {
  const reader = new RecordReader(messages);
  while (reader.next()) yield reader.message;
}
