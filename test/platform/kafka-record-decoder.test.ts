import { createRequire } from 'node:module';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createKafka } from '../../platform/kafka.ts';
import { decodeRecord, decodeRecordPlainly } from '../../platform/kafka-record-decoder.ts';
import { silentLogger } from '../../platform/log.ts';

type Context = Parameters<typeof decodeRecord>[1];

const require = createRequire(import.meta.url);
const Decoder = require('kafkajs/src/protocol/decoder') as new (buffer: Buffer) => { buffer: Buffer; offset: number };
const encodeRecord = require('kafkajs/src/protocol/recordBatch/record/v0') as (
  record: Partial<Record<'offsetDelta' | 'timestampDelta' | 'key' | 'value' | 'headers', unknown>>,
) => { buffer: Buffer };

const bytes = fc.option(fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)));
const record = fc.record({
  offsetDelta: fc.nat(2 ** 30),
  timestampDelta: fc.oneof(fc.nat(1000), fc.integer({ min: -(2 ** 31), max: 2 ** 31 }), fc.maxSafeInteger()),
  key: bytes,
  value: bytes,
  headers: fc.oneof(fc.constant({}), fc.dictionary(fc.string({ minLength: 1 }), fc.string(), { maxKeys: 3 })),
});
const context: fc.Arbitrary<Context> = fc.record({
  firstOffset: fc.bigInt({ min: 0n, max: 2n ** 62n }).map(String),
  firstTimestamp: fc.oneof(fc.constant('-1'), fc.nat(2 ** 42 - 1).map(String), fc.constant(String(2n ** 61n))),
  magicByte: fc.constant(2),
  isControlBatch: fc.boolean(),
  timestampType: fc.constantFrom(0, 1),
  maxTimestamp: fc.nat().map(String),
});

test("our decoder of a record reads what kafkajs's does, and as far", () => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 5 }), context, (records, batch) => {
      for (const one of records) {
        const whole = encodeRecord(one).buffer;
        // Before a record stands its length, which the batch's decoder reads.
        const lengthBytes = whole.findIndex((byte) => byte < 0x80) + 1;
        const ours = new Decoder(whole.subarray(lengthBytes));
        const theirs = new Decoder(whole.subarray(lengthBytes));
        expect(decodeRecord(ours, batch)).toEqual(decodeRecordPlainly(theirs, batch));
        if (Object.keys(one.headers).length > 0) expect(ours.offset).toBe(theirs.offset);
      }
    }),
    { seed: 1, numRuns: 500 },
  );
});

test('a client of ours has kafkajs decode with it from its first fetch on', () => {
  const path = require.resolve('kafkajs/src/protocol/recordBatch/record/v0/decoder');
  const batchPath = require.resolve('kafkajs/src/protocol/recordBatch/v0/decoder');
  expect(require.cache[batchPath], 'kafkajs loads its decoder of batches at the first fetch').toBeUndefined();

  createKafka({ brokers: ['localhost:1'], clientId: 'test', log: silentLogger() });

  expect(require(path)).toBe(decodeRecord);
});
