import { setTimeout as sleep } from 'node:timers/promises';
import kafkajs, { type PartitionMetadata, type Producer, type ProducerRecord } from 'kafkajs';
import { describe, expect, test } from 'vitest';
import { Outbox, SendFailedError } from '../../send/outbox.ts';

const PARTITIONS = 4;
const metadata: PartitionMetadata[] = Array.from({ length: PARTITIONS }, (_, partitionId) => ({
  partitionId,
  partitionErrorCode: 0,
  leader: 1,
  replicas: [1],
  isr: [1],
}));

/** A Kafka that takes its time, and keeps what it got. */
class SlowKafka {
  readonly got = new Map<number, string[]>();
  readonly underWay = new Map<number, number>();
  mostUnderWay = 0;
  requests = 0;
  /** Called before a request is taken; may throw. */
  refuse: (values: string[]) => void = () => {};

  get producer(): Producer {
    return { send: (record: ProducerRecord) => this.#send(record) } as unknown as Producer;
  }

  async #send({ messages }: ProducerRecord) {
    const partitions = new Set(messages.map(({ partition }) => partition ?? -1));
    expect(partitions.size).toBe(1);
    const [partition] = partitions;
    const now = (this.underWay.get(partition) ?? 0) + 1;
    this.underWay.set(partition, now);
    this.mostUnderWay = Math.max(this.mostUnderWay, now);
    this.requests++;
    await sleep(Math.random() * 4);
    this.underWay.set(partition, now - 1);
    const values = messages.map(({ value }) => String(value));
    this.refuse(values);
    this.got.set(partition, [...(this.got.get(partition) ?? []), ...values]);
    return [];
  }
}

function outboxOf(kafka: SlowKafka): Outbox<string> {
  return new Outbox<string>(kafka.producer, new Map([['t', metadata]]), kafkajs.CompressionTypes.None);
}

const record = (key: string | null, value: string) => ({ topic: 't', key, value: Buffer.from(value), source: value });

describe('the outbox', () => {
  test('keeps the order of every key, with one request at a time for each partition', async () => {
    const kafka = new SlowKafka();
    const outbox = outboxOf(kafka);
    for (let i = 0; i < 6_000; i++) {
      outbox.add(record(`profile ${i % 13}`, `${i % 13}:${i}`));
      if (i % 250 === 0) await outbox.offer();
    }
    await outbox.settle();
    expect(outbox.sent.get('t')).toBe(6_000);
    expect(kafka.mostUnderWay).toBe(1);
    expect(kafka.got.size).toBeGreaterThan(1);
    const partitionOf = new Map<string, number>();
    for (const [partition, values] of kafka.got) {
      const last = new Map<string, number>();
      for (const value of values) {
        const [key, number] = value.split(':');
        expect(Number(number)).toBeGreaterThan(last.get(key) ?? -1);
        last.set(key, Number(number));
        expect(partitionOf.get(key) ?? partition).toBe(partition);
        partitionOf.set(key, partition);
      }
    }
  });

  test('gathers while a block is on its way, so that fast input goes in few requests', async () => {
    const kafka = new SlowKafka();
    const outbox = outboxOf(kafka);
    for (let i = 0; i < 2_000; i++) {
      outbox.add(record('one profile', String(i)));
      await outbox.offer();
    }
    await outbox.settle();
    expect(kafka.requests).toBeLessThan(100);
  });

  test('makes whoever offers too much wait', async () => {
    const kafka = new SlowKafka();
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    const producer = { send: () => held.then(() => []) } as unknown as Producer;
    const outbox = new Outbox<string>(producer, new Map([['t', metadata]]), kafkajs.CompressionTypes.None);
    const megabyte = 'x'.repeat(1024 * 1024);
    let offered = 0;
    const offering = (async () => {
      for (; offered < 20; offered++) {
        outbox.add(record('p', megabyte));
        await outbox.offer();
      }
    })();
    await sleep(50);
    expect(offered).toBeLessThan(8);
    release();
    await offering;
    await outbox.settle();
    expect(outbox.sent.get('t')).toBe(20);
    expect(kafka.requests).toBe(0);
  });

  test('finds by halving which record is too long, and sends the others in order', async () => {
    const kafka = new SlowKafka();
    kafka.refuse = (values) => {
      if (values.includes('long')) throw Object.assign(new Error('too large'), { type: 'MESSAGE_TOO_LARGE' });
    };
    const outbox = outboxOf(kafka);
    for (let i = 0; i < 100; i++) outbox.add(record('p', i === 37 || i === 99 ? 'long' : String(i)));
    await outbox.settle();
    expect(outbox.refused).toEqual([
      { source: 'long', bytes: 4 },
      { source: 'long', bytes: 4 },
    ]);
    expect(outbox.sentInAll).toBe(98);
    expect([...kafka.got.values()].flat().map(Number)).toEqual(
      Array.from({ length: 100 }, (_, i) => i).filter((i) => i !== 37 && i !== 99),
    );
  });

  test('says what failed, and sends no more', async () => {
    const kafka = new SlowKafka();
    kafka.refuse = (values) => {
      if (values.includes('50')) throw new Error('the broker is gone');
    };
    const outbox = outboxOf(kafka);
    outbox.add(record('p', '49'));
    await outbox.settle();
    outbox.add(record('p', '50'));
    await expect(outbox.settle()).rejects.toThrow(SendFailedError);
    outbox.add(record('p', '51'));
    await expect(outbox.offer()).rejects.toThrow(/after 1 records \(the broker is gone\)/);
    expect([...kafka.got.values()].flat()).toEqual(['49']);
  });

  test('takes the partition that a record asks for, and spreads those without a key', async () => {
    const kafka = new SlowKafka();
    const outbox = outboxOf(kafka);
    outbox.add({ ...record('p', 'asked for'), partition: 3 });
    for (let i = 0; i < 40; i++) outbox.add(record(null, 'keyless'));
    await outbox.settle();
    expect(kafka.got.get(3)).toContain('asked for');
    expect(kafka.got.size).toBe(PARTITIONS);
  });
});
