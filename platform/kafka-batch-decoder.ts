import { createRequire } from 'node:module';
import type { KafkaMessage } from 'kafkajs';
import { RecordReader } from './record-reader.ts';
import { type BatchContext, RecordBatch, RecordRun } from './record-run.ts';

/** kafkajs's decoder: bytes, and how far they were read. */
export interface Decoder {
  buffer: Buffer;
  offset: number;
  forward(bytes: number): void;
  readInt8(): number;
  readInt16(): number;
  readInt32(): number;
  readInt64(): bigint;
}

interface DecodedBatch {
  records: object[];
}

const TIMESTAMP_TYPE = 0x08;
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;

const require = createRequire(import.meta.url);
const PATH = require.resolve('kafkajs/src/protocol/recordBatch/v0/decoder');
const DecoderOf = require('kafkajs/src/protocol/decoder') as new (buffer: Buffer) => Decoder;
const { KafkaJSPartialMessageError } = require('kafkajs/src/errors') as {
  KafkaJSPartialMessageError: new (message: string) => Error;
};
const { lookupCodecByAttributes } = require('kafkajs/src/protocol/message/compression') as {
  lookupCodecByAttributes: (attributes: number) => { decompress: (bytes: Buffer) => Promise<Buffer> } | null;
};
/** kafkajs's own decoder of a batch, which decides wherever a number is more than a double holds. */
export const decodeBatchPlainly = require(PATH) as (decoder: Decoder) => Promise<DecodedBatch>;

/**
 * Decodes a batch of records into what kafkajs takes for its messages, for a small part of the time and the memory: kafkajs
 * makes of each record three buffers, two strings and some objects, and adds up its numbers as big integers. Here all
 * records are one run, which is looked at when it is read (`RecordReader`). In a transaction each is a run of its own:
 * where kafkajs drops them, it tells of the first and the last. Markers of transactions are kafkajs's own.
 *
 * The layout is that of the Kafka protocol, format v2 (https://kafka.apache.org/documentation/#messageformat).
 *
 * @throws KafkaJSPartialMessageError at the tail of a response, which kafkajs expects
 */
export async function decodeBatch(response: Decoder): Promise<DecodedBatch> {
  const begin = response.offset;
  const firstOffset = String(response.readInt64());
  const length = response.readInt32();
  const body = new DecoderOf(response.buffer.subarray(response.offset, response.offset + length));
  response.forward(length);
  if (body.buffer.length < length) {
    throw new KafkaJSPartialMessageError(`A batch of ${length} bytes of which ${body.buffer.length} came`);
  }
  const { attributes, lastOffsetDelta, context } = readHeader(body, firstOffset);
  const lastOffset = Number(firstOffset) + lastOffsetDelta;
  if (context.isControlBatch || !Number.isSafeInteger(lastOffset)) {
    response.offset = begin;
    return decodeBatchPlainly(response);
  }
  const codec = lookupCodecByAttributes(attributes);
  const count = body.readInt32();
  const rest = body.buffer.subarray(body.offset);
  const bytes = codec === null || count <= 0 ? rest : await codec.decompress(rest);
  const run = new RecordRun(new RecordBatch(context, bytes), 0, Math.max(count, 0), lastOffset);
  return { records: context.inTransaction ? separately(run) : inMessages(run) };
}

function readHeader(body: Decoder, firstOffset: string) {
  // The epoch of the leader.
  body.readInt32();
  const magicByte = body.readInt8();
  // The checksum, which kafkajs does not look at either.
  body.readInt32();
  const attributes = body.readInt16();
  const lastOffsetDelta = body.readInt32();
  const context: BatchContext = {
    firstOffset,
    inTransaction: (attributes & TRANSACTIONAL) !== 0,
    isControlBatch: (attributes & CONTROL) !== 0,
    timestampType: (attributes & TIMESTAMP_TYPE) === 0 ? 0 : 1,
    magicByte,
    firstTimestamp: String(body.readInt64()),
    maxTimestamp: String(body.readInt64()),
    producerId: String(body.readInt64()),
  };
  // The epoch of the producer, and the first sequence number.
  body.readInt16();
  body.readInt32();
  return { attributes, lastOffsetDelta, context };
}

/**
 * Of the transactions that were aborted, kafkajs takes up one a message. Where several that overlap began before what was fetched,
 * one message for many records would have it take them up too late: records of the last would be read, and what its producer
 * committed after would not. So a run has empty ones before it, as there would be messages, up to so many.
 */
const MOST_MESSAGES = 16;

function inMessages(run: RecordRun): RecordRun[] {
  const empty = new RecordRun(run.batch, run.begin, 0, run.lastOffset);
  return [...Array.from({ length: Math.min(run.count, MOST_MESSAGES) - 1 }, () => empty), run];
}

/** What compaction took from the end is an empty run, so that its offsets are passed over, too. */
function separately(run: RecordRun): object[] {
  const reader = new RecordReader([run as unknown as KafkaMessage], -Infinity);
  const records: object[] = [];
  while (reader.next()) {
    const { place } = reader;
    records.push(place === null ? reader.message : new RecordRun(run.batch, place, 1, reader.offset));
  }
  if (reader.offset < run.lastOffset) records.push(new RecordRun(run.batch, run.begin, 0, run.lastOffset));
  return records;
}

/**
 * Has kafkajs use `decodeBatch`: it loads its decoders at the first fetch, and takes what stands for this one then. To be
 * called before anything is consumed; it may be called again.
 */
export function installBatchDecoder(): void {
  const loaded = require.cache[PATH];
  if (loaded !== undefined) loaded.exports = decodeBatch;
}
