import { createRequire } from 'node:module';
import fc from 'fast-check';
import type { Batch, KafkaMessage } from 'kafkajs';
import { beforeAll, describe, expect, test } from 'vitest';
import { createKafka } from '../../platform/kafka.ts';
import { decodeBatch, decodeBatchPlainly, type Decoder } from '../../platform/kafka-batch-decoder.ts';
import { registerCodecs } from '../../platform/kafka-codecs.ts';
import { silentLogger } from '../../platform/log.ts';
import { RecordPlace, RecordReader, UnreadableRecordError } from '../../platform/record-reader.ts';
import { RecordRun } from '../../platform/record-run.ts';

interface RecordToWrite {
  /** Offsets between it and the record before, which compaction took. */
  gap: number;
  timestampDelta: number;
  key: Buffer | null;
  value: Buffer | null;
  headers: Record<string, string>;
}

interface BatchToWrite {
  compression: number;
  firstTimestamp: string;
  maxTimestamp: string;
  appended: boolean;
  records: RecordToWrite[];
  /** 0 is in no transaction. */
  producer: number;
  /** Ends the transaction of the producer instead. */
  marker: 'commit' | 'abort' | null;
}

interface Aborted {
  producerId: string;
  firstOffset: string;
  endedAt: number;
}

type FetchedBatch = Batch & { isEmptyDueToFiltering(): boolean; rawMessages: object[] };

const require = createRequire(import.meta.url);
const DecoderOf = require('kafkajs/src/protocol/decoder') as new (buffer: Buffer) => Decoder;
const encodeRecord = require('kafkajs/src/protocol/recordBatch/record/v0') as (record: object) => object;
const { RecordBatch: encodeBatch } = require('kafkajs/src/protocol/recordBatch/v0') as {
  RecordBatch: (batch: object) => Promise<{ buffer: Buffer }>;
};
const BatchOf = require('kafkajs/src/consumer/batch') as new (
  topic: string,
  fetchedOffset: string,
  partition: object,
) => FetchedBatch;
type Decode = (decoder: Decoder) => Promise<{ records: object[] }>;

const bytes = fc.option(fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)));
const record: fc.Arbitrary<RecordToWrite> = fc.record({
  gap: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(200), fc.nat(2 ** 28)),
  timestampDelta: fc.oneof(fc.nat(1000), fc.integer({ min: -(2 ** 31), max: 2 ** 31 }), fc.maxSafeInteger()),
  key: bytes,
  value: bytes,
  headers: fc.oneof(fc.constant({}), fc.dictionary(fc.string({ minLength: 1 }), fc.string(), { maxKeys: 3 })),
});
const batch: fc.Arbitrary<BatchToWrite> = fc.record({
  compression: fc.constantFrom(0, 1, 2, 3, 4),
  firstTimestamp: fc.oneof(fc.constant('-1'), fc.nat(2 ** 42 - 1).map(String), fc.constant(String(2n ** 61n))),
  maxTimestamp: fc.nat().map(String),
  appended: fc.boolean(),
  records: fc.array(record, { minLength: 1, maxLength: 5 }),
  producer: fc.constantFrom(0, 0, 1, 2),
  marker: fc.constantFrom(null, null, 'commit', 'abort'),
});
/** Of the attributes of a batch: bits that kafkajs's own encoder never sets. */
const CONTROL = 0x20;
const LOG_APPEND_TIME = 0x08;
const ATTRIBUTES_AT = 8 + 4 + 4 + 1 + 4;
const LAST_OFFSET_DELTA_AT = ATTRIBUTES_AT + 2;
const COUNT_AT = LAST_OFFSET_DELTA_AT + 4 + 8 + 8 + 8 + 2 + 4;

beforeAll(() => registerCodecs());

/** A partition's log, as a broker has it: its batches, where each ends, and the transactions that were aborted. */
async function write(batches: readonly BatchToWrite[], firstOffset: bigint) {
  const log: { bytes: Buffer; begin: bigint; end: bigint }[] = [];
  const aborted: Aborted[] = [];
  const open = new Map<number, bigint>();
  let next = firstOffset;
  for (const { records, producer, marker, appended, ...head } of batches) {
    const control = marker !== null && producer > 0;
    const written = control ? [markerOf(marker)] : records;
    let offsetDelta = -1;
    const encoded = await encode(
      { ...head, firstOffset: String(next), producerId: String(producer), transactional: producer > 0 },
      written.map((one) => encodeRecord({ ...one, offsetDelta: (offsetDelta += one.gap + 1) })),
      (control ? CONTROL : 0) | (appended ? LOG_APPEND_TIME : 0),
      offsetDelta,
    );
    if (control) {
      const begun = open.get(producer);
      if (marker === 'abort' && begun !== undefined) {
        aborted.push({ producerId: String(producer), firstOffset: String(begun), endedAt: Number(next) });
      }
      open.delete(producer);
    } else if (producer > 0 && !open.has(producer)) {
      open.set(producer, next);
    }
    const end = next + BigInt(offsetDelta + 1);
    log.push({ bytes: encoded, begin: next, end });
    next = end;
  }
  aborted.sort((a, b) => Number(a.firstOffset) - Number(b.firstOffset));
  return { log, aborted, next };
}

function markerOf(marker: 'commit' | 'abort'): RecordToWrite {
  const key = Buffer.from([0, 0, 0, marker === 'abort' ? 0 : 1]);
  return { gap: 0, timestampDelta: 0, key, value: Buffer.alloc(6), headers: {} };
}

async function encode(head: object, records: object[], bits: number, lastOffsetDelta: number): Promise<Buffer> {
  const { buffer } = await encodeBatch({ ...head, records });
  buffer[ATTRIBUTES_AT + 1] |= bits;
  buffer.writeInt32BE(lastOffsetDelta, LAST_OFFSET_DELTA_AT);
  return buffer;
}

/** What a consumer is given of a log that was fetched from an offset on. */
async function fetched({ log, aborted, next }: Awaited<ReturnType<typeof write>>, from: bigint, decode: Decode) {
  const messages: object[] = [];
  for (const { bytes: encoded } of log.filter(({ end }) => end > from)) {
    // More follows in a response.
    const response = new DecoderOf(Buffer.concat([encoded, Buffer.from([1, 2, 3])]));
    messages.push(...(await decode(response)).records);
    expect(response.offset).toBe(encoded.length);
  }
  const abortedTransactions = aborted.filter(({ endedAt }) => endedAt >= Number(from));
  return new BatchOf('t', String(from), { partition: 0, highWatermark: String(next), abortedTransactions, messages });
}

/** All that is said of the records of a batch, in their order. */
function read({ messages }: Batch, from: number): object[] {
  const reader = new RecordReader(messages, from);
  const last = new RecordPlace();
  const said: object[] = [];
  while (reader.next()) {
    const { offset, stampedAt, key, value, headers } = reader;
    last.copy(reader);
    expect([last.key, last.value, last.offset, last.stampedAt]).toEqual([key, value, offset, stampedAt]);
    expect(reader.begin < 0 ? null : reader.bytes.subarray(reader.begin, reader.end)).toEqual(value);
    if (value !== null && value.length > 0) expect(reader.view.getUint8(reader.begin)).toBe(value[0]);
    said.push({ offset, stampedAt, key, value, headers, message: plain(reader.message) });
  }
  expect(reader.atEnd).toBe(true);
  return said;
}

function plain({ key, value, headers, offset, timestamp, attributes }: KafkaMessage): object {
  return { key, value, headers, offset, timestamp, attributes };
}

test('what is read of a log is what kafkajs makes of it: from any offset, with transactions and gaps', async () => {
  const seen = { runs: 0, singles: 0, empty: 0, middle: 0, aborted: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(batch, { minLength: 1, maxLength: 8 }),
      fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 31n }), fc.constant(2n ** 53n - 3n), fc.constant(2n ** 62n)),
      fc.nat(),
      fc.nat(3),
      async (batches, firstOffset, choice, after) => {
        const written = await write(batches, firstOffset);
        const { begin, end } = written.log[choice % written.log.length];
        const from = begin + BigInt(after) < end ? begin + BigInt(after) : begin;
        const theirs = await fetched(written, from, decodeBatchPlainly);
        const ours = await fetched(written, from, decodeBatch);
        const expected = theirs.messages.map((message) => {
          const { key, value, headers } = message;
          const [offset, stampedAt] = [Number(message.offset), Number(message.timestamp)];
          return { offset, stampedAt, key, value, headers, message: plain(message) };
        });
        // Beyond what a double holds, offsets are no longer told apart.
        if (Number.isSafeInteger(Number(written.next))) expect(read(ours, Number(from))).toEqual(expected);
        expect(ours.lastOffset()).toBe(theirs.lastOffset());
        expect(ours.isEmpty()).toBe(theirs.isEmpty());
        expect(ours.isEmptyDueToFiltering()).toBe(theirs.isEmptyDueToFiltering());
        if (ours.isEmpty()) expect(ours.firstOffset()).toBe(theirs.firstOffset());
        const runs = ours.messages.filter((one: object) => one instanceof RecordRun) as unknown as RecordRun[];
        seen.runs += runs.filter(({ count }) => count > 1).length;
        seen.singles += runs.filter(({ count }) => count === 1).length;
        if (ours.isEmpty()) seen.empty++;
        if (runs.length > 0 && runs[0].batch.firstOffset < Number(from)) seen.middle++;
        if (theirs.messages.length < theirs.rawMessages.length) seen.aborted++;
      },
    ),
    { seed: 1, numRuns: 1000 },
  );
  expect(Math.min(...Object.values(seen)), JSON.stringify(seen)).toBeGreaterThan(50);
});

/** A batch of these values, of a producer in a transaction where it is none of 0; or the end of its transaction. */
function batchOf(producer: number, marker: BatchToWrite['marker'], ...values: string[]): BatchToWrite {
  const records = values.map((value) => ({
    gap: 0,
    timestampDelta: 0,
    key: null,
    value: Buffer.from(value),
    headers: {},
  }));
  return { compression: 0, firstTimestamp: '5', maxTimestamp: '5', appended: false, records, producer, marker };
}

describe('of several transactions that began before what was fetched and were aborted', () => {
  const open = [
    batchOf(1, null, '1'),
    batchOf(2, null, '2'),
    batchOf(3, null, '3'),
    batchOf(0, null, 'a', 'b', 'c', 'd'),
  ];
  const aborts = [1, 2].map((producer) => batchOf(producer, 'abort', ''));

  test.each([
    ['no record is read', [batchOf(3, null, 'aborted'), batchOf(3, 'abort', '')], ['a', 'b', 'c', 'd', 'end']],
    [
      'what is committed after them is read',
      [batchOf(3, 'abort', ''), batchOf(3, null, 'e', 'f'), batchOf(3, 'commit', ''), batchOf(3, null, 'g')],
      ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'end'],
    ],
  ])('%s', async (_, between, expected) => {
    const written = await write(
      [...open, ...between, ...aborts, batchOf(3, 'commit', ''), batchOf(0, null, 'end')],
      0n,
    );
    const theirs = await fetched(written, 3n, decodeBatchPlainly);
    expect(theirs.messages.map(({ value }) => String(value))).toEqual(expected);
    const ours = read(await fetched(written, 3n, decodeBatch), 3) as { value: Buffer }[];
    expect(ours.map(({ value }) => String(value))).toEqual(expected);
  });
});

const IN_TRANSACTION = { producerId: '7', transactional: true };

describe('what compaction leaves', () => {
  const someRecord: RecordToWrite = { gap: 0, timestampDelta: 0, key: null, value: Buffer.from('x'), headers: {} };
  const head = { firstOffset: '100', firstTimestamp: '5', maxTimestamp: '5', compression: 0, producerId: '-1' };

  test.each([
    ['the last records of a batch', 2, {}],
    ['all records of a batch', 0, {}],
    ['the last records of a batch in a transaction', 2, IN_TRANSACTION],
    ['all records of a batch in a transaction', 0, IN_TRANSACTION],
  ])('is passed over in one fetch: %s', async (_, count, more) => {
    const records = Array.from({ length: count }, (_, i) => encodeRecord({ ...someRecord, offsetDelta: i }));
    const encoded = await encode({ ...head, ...more }, records, 0, 9);

    const log = [{ bytes: encoded, begin: 100n, end: 110n }];
    const decoded = await fetched({ log, aborted: [], next: 110n }, 100n, decodeBatch);

    expect(read(decoded, 100)).toHaveLength(count);
    expect(decoded.lastOffset()).toBe('109');
    expect(decoded.isEmpty()).toBe(false);
  });
});

test('messages that were added are read after those before, and no record twice', async () => {
  const batches = Array.from({ length: 6 }, (_, i): BatchToWrite => {
    const value = Buffer.from(String(i));
    const records = [{ gap: 0, timestampDelta: i, key: null, value, headers: {} }];
    const head = { compression: 0, firstTimestamp: '1000', maxTimestamp: '1000', appended: false };
    return { ...head, records: [...records, ...records], producer: 0, marker: null };
  });
  const whole = await write(batches, 0n);
  const first = await fetched({ ...whole, log: whole.log.slice(0, 3) }, 1n, decodeBatch);
  const rest = await fetched({ ...whole, log: whole.log.slice(2) }, 6n, decodeBatch);
  const reader = new RecordReader(first.messages, 1);
  const offsets = [];
  for (let i = 0; i < 3 && reader.next(); i++) offsets.push(reader.offset);

  reader.add(rest.messages);

  while (reader.next()) offsets.push(reader.offset);
  expect(offsets).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  expect(reader.next()).toBe(false);
  expect([reader.offset, String(reader.value), reader.stampedAt]).toEqual([11, '5', 1005]);
});

test('a damaged record is told of, and a run is not taken for a message', async () => {
  const encoded = await encode(
    { firstOffset: '7', firstTimestamp: '5', maxTimestamp: '5', compression: 0 },
    [encodeRecord({ offsetDelta: 0, timestampDelta: 0, key: null, value: Buffer.from('abc'), headers: {} })],
    0,
    0,
  );
  // It says that it has one more.
  encoded.writeInt32BE(2, COUNT_AT);
  const run = (await decodeBatch(new DecoderOf(encoded))).records.at(-1) as RecordRun;

  const reader = new RecordReader([run as unknown as KafkaMessage]);

  expect(reader.next()).toBe(true);
  expect(() => reader.next()).toThrow(UnreadableRecordError);
  expect(() => run.value).toThrow('RecordReader');
});

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
