import { createHash } from 'node:crypto';
import { execa } from 'execa';
import kafkajs, { type Admin, type Kafka } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findJava, kafkaClassPath } from '../../local/java.ts';
import { startTestStack, type TestStack } from '../../local/testing.ts';
import {
  checkKafka,
  createKafka,
  createProducer,
  createTopics,
  KafkaUnavailableError,
  selectTopics,
} from '../../platform/kafka.ts';
import { CorruptCompressionError, snappy } from '../../platform/kafka-codecs.ts';
import { fetchBounds } from '../../streaming/topics.ts';
import { createLogger, silentLogger } from '../../platform/log.ts';
import { messagesOf } from '../records.ts';

const { CompressionTypes } = kafkajs;
const COMPRESSIONS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
};
type Compression = keyof typeof COMPRESSIONS;
const NAMES = Object.keys(COMPRESSIONS) as Compression[];

// More than one block of any codec, and not so regular that compression has nothing to do.
const VALUES = Array.from({ length: 3_000 }, (_, i) => `${i} ${createHash('sha256').update(String(i)).digest('hex')}`);

let stack: TestStack<'kafka'>;
let kafka: Kafka;
let admin: Admin;

beforeAll(async () => {
  stack = await startTestStack({ services: ['kafka'] });
  kafka = createKafka({ brokers: stack.kafka.brokers, clientId: 'whence-test', log: silentLogger() });
  admin = kafka.admin();
  await admin.connect();
  const topics = NAMES.flatMap((name) => [`ours.${name}`, `java.${name}`]).map((topic) => ({
    topic,
    numPartitions: 1,
  }));
  await createTopics(admin, [...topics, { topic: 'keyed', numPartitions: 6 }]);
});
afterAll(async () => {
  await admin?.disconnect();
  await stack?.stop();
});

/** All values of a topic of one partition, in order. */
async function readAll(topic: string): Promise<string[]> {
  const consumer = kafka.consumer({ groupId: `read-${topic}` });
  const values: string[] = [];
  await consumer.connect();
  try {
    await consumer.subscribe({ topic, fromBeginning: true });
    await new Promise<void>((resolve, reject) => {
      consumer.on('consumer.crash', ({ payload }) => !payload.restart && reject(payload.error));
      void consumer.run({
        eachBatch: async ({ batch }) => {
          for (const { value } of messagesOf(batch.messages)) values.push(String(value));
          if (values.length === VALUES.length) resolve();
        },
      });
    });
    return values;
  } finally {
    await consumer.disconnect();
  }
}

async function java(mainClass: string, args: string[], input = ''): Promise<string> {
  const found = await findJava(() => {});
  const classPath = await kafkaClassPath(found, () => {});
  const options = ['-Xmx128m', '-XX:TieredStopAtLevel=1', '-Dorg.slf4j.simpleLogger.defaultLogLevel=error'];
  const { stdout } = await execa(found.executable, [...options, '-cp', classPath, mainClass, ...args], { input });
  return stdout;
}

async function produce(topic: string, compression: Compression): Promise<void> {
  const producer = createProducer(kafka);
  await producer.connect();
  const messages = VALUES.map((value) => ({ value }));
  await producer.send({ topic, messages, compression: COMPRESSIONS[compression] });
  await producer.disconnect();
}

describe('compression through a real Kafka', () => {
  test.each(NAMES)('%s: what we wrote is what we read', async (name) => {
    await produce(`ours.${name}`, name);
    expect(await readAll(`ours.${name}`)).toEqual(VALUES);
  });

  test('what we wrote, a Java consumer reads, whatever the compression', async () => {
    const read = await java('org.apache.kafka.tools.consumer.ConsoleConsumer', [
      '--bootstrap-server',
      stack.kafka.brokers.join(','),
      '--include',
      'ours\\..*',
      '--from-beginning',
      '--max-messages',
      String(NAMES.length * VALUES.length),
    ]);
    expect(read.split('\n').sort()).toEqual(NAMES.flatMap(() => VALUES).sort());
  });

  test.each(NAMES)('%s: what a Java producer wrote, we read', async (name) => {
    const args = ['--bootstrap-server', stack.kafka.brokers.join(','), '--topic', `java.${name}`];
    const batching = ['--compression-codec', name, '--batch-size', '200000'];
    await java('org.apache.kafka.tools.ConsoleProducer', [...args, ...batching], VALUES.join('\n'));
    expect(await readAll(`java.${name}`)).toEqual(VALUES);
  });
});

describe('snappy', () => {
  test('also reads a raw block, as librdkafka writes it', async () => {
    const { compress } = await import('snappy');
    expect(String(await snappy.decompress(await compress('a raw block')))).toBe('a raw block');
  });

  test('refuses a stream that was cut off', async () => {
    const stream = await snappy.compress({ buffer: Buffer.alloc(100_000, 'x') });
    await expect(snappy.decompress(stream.subarray(0, -1))).rejects.toThrow(CorruptCompressionError);
    await expect(snappy.decompress(stream.subarray(0, 18))).rejects.toThrow(CorruptCompressionError);
  });
});

describe('a Kafka client', () => {
  test('places a key on the partition where the Java clients place it', async () => {
    const keys = Array.from({ length: 200 }, (_, i) => `profile-${i}`);
    const args = ['--bootstrap-server', stack.kafka.brokers.join(','), '--topic', 'keyed'];
    const keyed = ['--property', 'parse.key=true', '--property', 'key.separator=:'];
    await java(
      'org.apache.kafka.tools.ConsoleProducer',
      [...args, ...keyed],
      keys.map((key) => `${key}:java`).join('\n'),
    );
    const producer = createProducer(kafka, { idempotent: true });
    await producer.connect();
    await producer.send({ topic: 'keyed', messages: keys.map((key) => ({ key, value: 'ours' })) });
    await producer.disconnect();

    const partitions = { java: new Map<string, number>(), ours: new Map<string, number>() };
    const consumer = kafka.consumer({ groupId: 'read-keyed' });
    await consumer.connect();
    await consumer.subscribe({ topic: 'keyed', fromBeginning: true });
    await new Promise<void>((resolve) => {
      void consumer.run({
        eachBatch: async ({ batch }) => {
          for (const { key, value } of messagesOf(batch.messages)) {
            partitions[String(value) as 'java' | 'ours'].set(String(key), batch.partition);
          }
          if (partitions.java.size + partitions.ours.size === 2 * keys.length) resolve();
        },
      });
    });
    await consumer.disconnect();
    expect(partitions.ours).toEqual(partitions.java);
  });

  test('does not create a topic that someone mistyped', async () => {
    const producer = createProducer(kafka, { retry: { retries: 0 } });
    await producer.connect();
    await expect(producer.send({ topic: 'imperssions', messages: [{ value: 'x' }] })).rejects.toThrow();
    await producer.disconnect();
    expect(await admin.listTopics()).not.toContain('imperssions');
  });

  test('waits for new topics until the brokers know them and each partition has a leader', async () => {
    const unknown = new kafkajs.KafkaJSProtocolError(Object.assign(new Error('no such topic'), { retriable: true }));
    const forbidden = new kafkajs.KafkaJSProtocolError(Object.assign(new Error('forbidden'), { retriable: false }));
    const partition = { partitionErrorCode: 0, partitionId: 0, replicas: [1], isr: [1] };
    const answers = [unknown, [{ ...partition, leader: -1 }], [{ ...partition, leader: 1 }], forbidden];
    const slow = {
      createTopics: () => Promise.resolve(true),
      fetchTopicMetadata: () => {
        const answer = answers.shift() ?? [];
        if (answer instanceof Error) return Promise.reject(answer);
        return Promise.resolve({ topics: [{ name: 't', partitions: answer }] });
      },
    };
    await createTopics(slow, [{ topic: 't', numPartitions: 1 }]);
    expect(answers).toEqual([forbidden]);
    await expect(createTopics(slow, [{ topic: 't', numPartitions: 1 }])).rejects.toBe(forbidden);
  });

  test('asks again for the bounds of a log whose leader is not known everywhere yet, and not for what stays wrong', async () => {
    const notLeader = new kafkajs.KafkaJSProtocolError(Object.assign(new Error('not the leader'), { retriable: true }));
    const forbidden = new kafkajs.KafkaJSProtocolError(Object.assign(new Error('forbidden'), { retriable: false }));
    const answers = [notLeader, notLeader, [{ partition: 0, offset: '7', low: '3', high: '7' }], forbidden];
    const slow = {
      fetchTopicOffsets() {
        const answer = answers.shift() ?? [];
        return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
      },
    };
    expect(await fetchBounds(slow, ['t'])).toEqual(new Map([['t', [{ earliest: 3, next: 7 }]]]));
    await expect(fetchBounds(slow, ['t'])).rejects.toBe(forbidden);
  });

  test('says where it found no Kafka, and logs through our log without credentials', async () => {
    const lines: string[] = [];
    const log = createLogger({
      name: 'test',
      level: 'debug',
      secrets: ['hunter22'],
      destination: { write: (line) => void lines.push(line) },
    });
    const sasl = { mechanism: 'plain', username: 'me', password: 'hunter22' } as const;
    const options = { brokers: ['127.0.0.1:1'], clientId: 'whence-test', log, sasl };
    await expect(checkKafka(options)).rejects.toThrow(KafkaUnavailableError);
    await expect(checkKafka(options)).rejects.toThrow('Kafka at 127.0.0.1:1 cannot be reached');
    const unreachable = createKafka({ ...options, retry: { retries: 0 } }).admin();
    await expect(unreachable.connect()).rejects.toThrow();
    expect(lines.join('')).toContain('"kafka":"Connection"');
    expect(lines.join('')).not.toContain('hunter22');
  });

  test('a broker that is away is told of once, however often it is tried', async () => {
    const lines: { msg: string }[] = [];
    const destination = { write: (line: string) => void lines.push(JSON.parse(line) as { msg: string }) };
    const log = createLogger({ name: 'test', level: 'info', secrets: [], destination });
    const retry = { retries: 5, initialRetryTime: 10 };
    const away = createKafka({ brokers: ['127.0.0.1:1'], clientId: 'whence-test', log, retry }).admin();
    await expect(away.connect()).rejects.toThrow();
    const messages = lines.map(({ msg }) => msg);
    expect(messages.length).toBeGreaterThan(0);
    expect(messages).toEqual([...new Set(messages)]);
  });

  test('selects topics by name and by pattern', () => {
    expect(selectTopics(['b', /^eu\./], ['eu.z', 'b', 'bb', 'a.eu.', 'eu.a'])).toEqual(['b', 'eu.a', 'eu.z']);
  });
});
