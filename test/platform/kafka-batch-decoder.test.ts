import { createRequire } from 'node:module';
import fc from 'fast-check';
import type { KafkaMessage } from 'kafkajs';
import { beforeAll, expect, test } from 'vitest';
import { createKafka } from '../../platform/kafka.ts';
import { decodeBatch, decodeBatchPlainly, type Decoder } from '../../platform/kafka-batch-decoder.ts';
import { registerCodecs } from '../../platform/kafka-codecs.ts';
import { silentLogger } from '../../platform/log.ts';
import { offsetOf, PlainRecord, stampOf, valueOf } from '../../platform/plain-record.ts';

interface RecordToWrite {
  offsetDelta: number;
  timestampDelta: number;
  key: Buffer | null;
  value: Buffer | null;
  headers: Record<string, string>;
}

const require = createRequire(import.meta.url);
const DecoderOf = require('kafkajs/src/protocol/decoder') as new (buffer: Buffer) => Decoder;
const encodeRecord = require('kafkajs/src/protocol/recordBatch/record/v0') as (record: RecordToWrite) => object;
const { RecordBatch: encodeBatch } = require('kafkajs/src/protocol/recordBatch/v0') as {
  RecordBatch: (batch: object) => Promise<{ buffer: Buffer }>;
};

const bytes = fc.option(fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)));
const record: fc.Arbitrary<RecordToWrite> = fc.record({
  offsetDelta: fc.nat(2 ** 30),
  timestampDelta: fc.oneof(fc.nat(1000), fc.integer({ min: -(2 ** 31), max: 2 ** 31 }), fc.maxSafeInteger()),
  key: bytes,
  value: bytes,
  headers: fc.oneof(fc.constant({}), fc.dictionary(fc.string({ minLength: 1 }), fc.string(), { maxKeys: 3 })),
});
const batch = fc.record({
  compression: fc.constantFrom(0, 1, 2, 3, 4),
  firstOffset: fc.oneof(fc.nat(), fc.bigInt({ min: 0n, max: 2n ** 62n })).map(String),
  firstTimestamp: fc.oneof(fc.constant('-1'), fc.nat(2 ** 42 - 1).map(String), fc.constant(String(2n ** 61n))),
  maxTimestamp: fc.nat().map(String),
  lastOffsetDelta: fc.nat(100),
  producerId: fc.nat().map(String),
  producerEpoch: fc.nat(100),
  firstSequence: fc.nat(100),
  transactional: fc.boolean(),
});
/** Of the attributes of a batch: bits that kafkajs's own encoder never sets. */
const CONTROL = 0x20;
const LOG_APPEND_TIME = 0x08;
const ATTRIBUTES_AT = 8 + 4 + 4 + 1 + 4;

beforeAll(() => registerCodecs());

test("our decoder of a batch reads what kafkajs's does, and as far", async () => {
  let plain = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(record, { maxLength: 5 }),
      batch,
      fc.constantFrom(0, CONTROL, LOG_APPEND_TIME, CONTROL | LOG_APPEND_TIME),
      async (records, head, bits) => {
        const encoded = (await encodeBatch({ ...head, records: records.map((one) => encodeRecord(one)) })).buffer;
        encoded[ATTRIBUTES_AT + 1] |= bits;
        // More follows in a response.
        const response = Buffer.concat([encoded, Buffer.from([1, 2, 3])]);
        const ours = new DecoderOf(response);
        const theirs = new DecoderOf(response);
        const [mine, expected] = [await decodeBatch(ours), await decodeBatchPlainly(theirs)];
        expect({ ...mine, records: mine.records.map(said) }).toEqual({
          ...expected,
          magicByte: mine.magicByte,
          records: expected.records.map(said),
        });
        expect(ours.offset).toBe(theirs.offset);
        plain += mine.records.filter((one) => one instanceof PlainRecord).length;
      },
    ),
    { seed: 1, numRuns: 1000 },
  );
  expect(plain).toBeGreaterThan(300);
});

/** All that kafkajs says of a record; and what is read of a plain one without making strings and buffers. */
function said(one: object) {
  const message = one as KafkaMessage & { magicByte: number; isControlRecord: boolean; batchContext: object };
  const { attributes, timestamp, offset, key, value, headers, magicByte, isControlRecord } = message;
  const { magicByte: _, ...batchContext } = message.batchContext as { magicByte: number };
  const span = valueOf(message);
  expect(span === null ? null : span.bytes.subarray(span.begin, span.end)).toEqual(value);
  expect([offsetOf(message), stampOf(message)]).toEqual([Number(offset), Number(timestamp)]);
  return { attributes, timestamp, offset, key, value, headers, magicByte, isControlRecord, batchContext };
}

test('a batch of which only a part came is what kafkajs takes for the end of a response', async () => {
  const encoded = (await encodeBatch({ records: [] })).buffer;
  for (const decode of [decodeBatch, decodeBatchPlainly]) {
    const cut = decode(new DecoderOf(encoded.subarray(0, -1)));
    await expect(cut).rejects.toMatchObject({ name: 'KafkaJSPartialMessageError' });
  }
});

test('a client of ours has kafkajs decode with it from its first fetch on', () => {
  const path = require.resolve('kafkajs/src/protocol/recordBatch/v0/decoder');
  const fetchPath = require.resolve('kafkajs/src/protocol/requests/fetch/v4/decodeMessages');
  expect(require.cache[fetchPath], 'kafkajs loads its decoders at the first fetch').toBeUndefined();

  createKafka({ brokers: ['localhost:1'], clientId: 'test', log: silentLogger() });

  expect(require(path)).toBe(decodeBatch);
});
