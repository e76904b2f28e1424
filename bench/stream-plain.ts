/** What `bench/stream.ts` sets beside the stream: kafkajs `eachBatch` with `JSON.parse`, and nothing else. */

import kafkajs from 'kafkajs';
import { registerCodecs } from '../platform/kafka-codecs.ts';

registerCodecs();
const kafka = new kafkajs.Kafka({
  brokers: (process.env.KAFKA_BROKERS ?? '').split(','),
  clientId: 'bench-plain',
  logLevel: kafkajs.logLevel.NOTHING,
});
let left = Number(process.argv[2]);
let valid = 0;
const consumer = kafka.consumer({ groupId: 'plain', maxWaitTimeInMs: 100, maxBytesPerPartition: 2 * 1024 * 1024 });
await consumer.connect();
await consumer.subscribe({ topics: ['impressions', 'playback'], fromBeginning: true });
await new Promise<void>((resolve, reject) => {
  consumer
    .run({
      autoCommit: false,
      partitionsConsumedConcurrently: 12,
      eachBatch: ({ batch }) => {
        for (const message of batch.messages) {
          try {
            JSON.parse(message.value?.toString() ?? '');
            valid++;
          } catch {
            // Poison is part of the stream.
          }
        }
        left -= batch.messages.length;
        if (left <= 0) resolve();
        return Promise.resolve();
      },
    })
    .catch(reject);
});
await consumer.disconnect();
if (valid === 0) process.exitCode = 1;
