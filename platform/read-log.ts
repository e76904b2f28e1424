import { randomUUID } from 'node:crypto';
import kafkajs, {
  type Assigner,
  type Consumer,
  type EachBatchPayload,
  type Kafka,
  type PartitionAssigner,
} from 'kafkajs';
import { RecordReader } from './record-reader.ts';

/** Records of one partition: from an offset up to another, that one not included. */
export interface LogRange {
  topic: string;
  partition: number;
  from: number;
  to: number;
}

/** Kafka did not give what it should have. */
export class LogNotReadableError extends Error {
  override readonly name = 'LogNotReadableError';
}

const SILENCE_MS = 30_000;
const FETCH_BYTES = 4 * 1024 * 1024;

/**
 * Reads ranges of the log, each in order. It changes nothing for anybody: kafkajs reads through a consumer group only, so
 * it has one of its own for this once, commits no offsets, and deletes it.
 *
 * @throws LogNotReadableError where nothing comes for half a minute; what kafkajs throws where it gives up
 */
export async function readLog(
  kafka: Kafka,
  groupPrefix: string,
  ranges: readonly LogRange[],
  onRecord: (topic: string, record: RecordReader) => void,
): Promise<void> {
  const wanted = ranges.filter(({ from, to }) => from < to);
  if (wanted.length === 0) return;
  const groupId = `${groupPrefix}-${randomUUID()}`;
  const consumer = kafka.consumer({
    groupId,
    partitionAssigners: [onlyTheseAssigner(wanted)],
    maxWaitTimeInMs: 100,
    maxBytesPerPartition: FETCH_BYTES,
    allowAutoTopicCreation: false,
  });
  await consumer.connect();
  try {
    await readRanges(consumer, wanted, onRecord);
  } finally {
    await consumer.disconnect();
    await deleteGroup(kafka, groupId);
  }
}

/** Resolves when all ranges were read. */
function readRanges(
  consumer: Consumer,
  ranges: readonly LogRange[],
  onRecord: (topic: string, record: RecordReader) => void,
): Promise<void> {
  const { GROUP_JOIN, CRASH, END_BATCH_PROCESS } = consumer.events;
  const places = new Map(ranges.map((range) => [`${range.topic}/${range.partition}`, { ...range, at: range.from }]));
  return new Promise<void>((resolve, reject) => {
    let silence = setTimeout(() => {}, 0);
    const heard = () => {
      clearTimeout(silence);
      const missing = [...places].filter(([, { at, to }]) => at < to).map(([name, { at }]) => `${name} from ${at} on`);
      if (missing.length === 0) {
        resolve();
        return;
      }
      silence = setTimeout(() => {
        reject(new LogNotReadableError(`Kafka gave nothing of ${missing.join(', ')} for ${SILENCE_MS / 1000} s`));
      }, SILENCE_MS);
    };
    const fail = (error: Error) => {
      clearTimeout(silence);
      reject(error);
    };
    consumer.on(GROUP_JOIN, () => {
      for (const { topic, partition, at } of places.values()) consumer.seek({ topic, partition, offset: String(at) });
    });
    consumer.on(CRASH, ({ payload }) => {
      if (!payload.restart) fail(payload.error);
    });
    // A fetch without records for us: only markers of transactions.
    consumer.on(END_BATCH_PROCESS, ({ payload }) => {
      const place = places.get(`${payload.topic}/${payload.partition}`);
      if (payload.batchSize > 0 || place === undefined) return;
      place.at = Math.max(place.at, Number(payload.lastOffset) + 1);
      heard();
    });
    const eachBatch = async (payload: EachBatchPayload) => {
      const { topic, partition, messages } = payload.batch;
      const place = places.get(`${topic}/${partition}`);
      if (place === undefined || payload.isStale()) return;
      const reader = new RecordReader(messages, place.at);
      while (reader.next() && reader.offset < place.to) {
        onRecord(topic, reader);
        place.at = reader.offset + 1;
      }
      place.at = Math.max(place.at, Number(payload.batch.lastOffset()) + 1);
      heard();
      await payload.heartbeat();
    };
    heard();
    consumer
      .subscribe({ topics: [...new Set(ranges.map(({ topic }) => topic))], fromBeginning: true })
      .then(() => consumer.run({ autoCommit: false, partitionsConsumedConcurrently: ranges.length, eachBatch }))
      .catch(fail);
  });
}

/** Gives the one member these partitions, and no others. */
function onlyTheseAssigner(ranges: readonly LogRange[]): PartitionAssigner {
  const { AssignerProtocol } = kafkajs;
  const name = 'whence-read-log';
  const assignment: Record<string, number[]> = {};
  for (const { topic, partition } of ranges) (assignment[topic] ??= []).push(partition);
  const userData = Buffer.alloc(0);
  return (): Assigner => ({
    name,
    version: 1,
    assign: ({ members }) => {
      const memberAssignment = AssignerProtocol.MemberAssignment.encode({ version: 1, assignment, userData });
      return Promise.resolve(members.map(({ memberId }) => ({ memberId, memberAssignment })));
    },
    protocol: ({ topics }) => ({
      name,
      metadata: AssignerProtocol.MemberMetadata.encode({ version: 1, topics, userData }),
    }),
  });
}

/** Kafka forgets a group without members and offsets by itself; where that may not be hastened, it is left to it. */
async function deleteGroup(kafka: Kafka, groupId: string): Promise<void> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    await admin.deleteGroups([groupId]);
  } catch {
    // Not worth a failure.
  } finally {
    await admin.disconnect();
  }
}
