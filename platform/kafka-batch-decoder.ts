import { createRequire } from 'node:module';
import { type BatchContext, PlainBatch, PlainRecord } from './plain-record.ts';

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

interface DecodedBatch extends BatchContext {
  records: object[];
}

const TIMESTAMP_TYPE = 0x08;
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;
/** Seven bits each: an integer of so many bytes is exact as a number, whatever its bits. */
const MOST_VARINT_BYTES = 7;

const require = createRequire(import.meta.url);
const PATH = require.resolve('kafkajs/src/protocol/recordBatch/v0/decoder');
const DecoderOf = require('kafkajs/src/protocol/decoder') as new (buffer: Buffer) => Decoder;
const { KafkaJSPartialMessageError } = require('kafkajs/src/errors') as {
  KafkaJSPartialMessageError: new (message: string) => Error;
};
const { lookupCodecByAttributes } = require('kafkajs/src/protocol/message/compression') as {
  lookupCodecByAttributes: (attributes: number) => { decompress: (bytes: Buffer) => Promise<Buffer> } | null;
};
/** kafkajs's own decoder of one record, which decides wherever a record is anything but plain. */
const decodeRecordPlainly = require('kafkajs/src/protocol/recordBatch/record/v0/decoder') as (
  decoder: Decoder,
  context: BatchContext,
) => object;
/** kafkajs's own decoder of a batch. */
export const decodeBatchPlainly = require(PATH) as (decoder: Decoder) => Promise<DecodedBatch>;

/**
 * Decodes a batch of records as kafkajs does, for a small part of the time and the memory: kafkajs makes of each record three
 * buffers, two strings and some objects, and adds up its numbers as big integers; here it is one object of places. Records
 * with headers, and numbers that a double does not hold, are left to kafkajs.
 *
 * The layout is that of the Kafka protocol, format v2 (https://kafka.apache.org/documentation/#messageformat).
 *
 * @throws KafkaJSPartialMessageError at the tail of a response, which kafkajs expects
 */
export async function decodeBatch(response: Decoder): Promise<DecodedBatch> {
  const firstOffset = String(response.readInt64());
  const length = response.readInt32();
  const body = new DecoderOf(response.buffer.subarray(response.offset, response.offset + length));
  response.forward(length);
  if (body.buffer.length < length) {
    throw new KafkaJSPartialMessageError(`A batch of ${length} bytes of which ${body.buffer.length} came`);
  }
  const { attributes, context } = readHeader(body, firstOffset);
  const codec = lookupCodecByAttributes(attributes);
  const count = body.readInt32();
  if (count <= 0) return { ...context, records: [] };
  const rest = body.buffer.subarray(body.offset);
  const bytes = codec === null ? rest : await codec.decompress(rest);
  return { ...context, records: decodeRecords(new PlainBatch(context, bytes), count) };
}

function readHeader(body: Decoder, firstOffset: string): { attributes: number; context: BatchContext } {
  const partitionLeaderEpoch = body.readInt32();
  const magicByte = body.readInt8();
  // The checksum, which kafkajs does not look at either.
  body.readInt32();
  const attributes = body.readInt16();
  const context = {
    firstOffset,
    partitionLeaderEpoch,
    inTransaction: (attributes & TRANSACTIONAL) !== 0,
    isControlBatch: (attributes & CONTROL) !== 0,
    timestampType: (attributes & TIMESTAMP_TYPE) === 0 ? 0 : 1,
    magicByte,
    lastOffsetDelta: body.readInt32(),
    firstTimestamp: String(body.readInt64()),
    maxTimestamp: String(body.readInt64()),
    producerId: String(body.readInt64()),
    producerEpoch: body.readInt16(),
    firstSequence: body.readInt32(),
  };
  return { attributes, context };
}

/** Where reading is: kept between calls, since records are decoded in one go. */
const cursor: { bytes: Buffer; at: number; plain: boolean } = { bytes: Buffer.alloc(0), at: 0, plain: true };

function decodeRecords(batch: PlainBatch, count: number): object[] {
  cursor.bytes = batch.bytes;
  cursor.at = 0;
  return Array.from({ length: count }, () => {
    cursor.plain = true;
    const length = readVarint();
    const begin = cursor.at;
    const plain = readPlain(batch);
    // A record whose fields do not end where it does is kafkajs's, too.
    const record =
      plain !== null && cursor.at === begin + length ? plain : decodeAnyRecord(batch, begin, begin + length);
    cursor.at = begin + length;
    return record;
  });
}

function decodeAnyRecord({ bytes, context }: PlainBatch, begin: number, end: number): object {
  return decodeRecordPlainly(new DecoderOf(bytes.subarray(begin, end)), context);
}

/** Reads a record at the cursor. @returns null where kafkajs is to decide */
function readPlain(batch: PlainBatch): PlainRecord | null {
  const attributes = nextByte();
  const timestampDelta = readVarint();
  const offsetDelta = readVarint();
  const keyLength = readVarint();
  const keyBegin = skip(keyLength);
  const keyEnd = cursor.at;
  const valueLength = readVarint();
  const begin = skip(valueLength);
  const end = cursor.at;
  const headers = readVarint();
  const exact = isExact(batch.firstTimestamp, timestampDelta) && isExact(batch.firstOffset, offsetDelta);
  if (!cursor.plain || headers !== 0 || !exact) return null;
  // Attributes of a record are a signed byte, unused.
  return new PlainRecord(batch, (attributes << 24) >> 24, timestampDelta, offsetDelta, keyBegin, keyEnd, begin, end);
}

function isExact(first: number, delta: number): boolean {
  return Number.isSafeInteger(first) && Number.isSafeInteger(first + delta);
}

/** No index is ever out of bounds: one such makes all look-ups slow for good. */
function nextByte(): number {
  if (cursor.at < cursor.bytes.length) return cursor.bytes[cursor.at++];
  cursor.plain = false;
  return 0;
}

function readVarint(): number {
  let value = 0;
  let scale = 1;
  for (let bytes = 0; bytes < MOST_VARINT_BYTES; bytes++) {
    const byte = nextByte();
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    scale *= 128;
  }
  cursor.plain = false;
  return 0;
}

/** Passes over so many bytes, none where there is nothing (-1). @returns where they begin, -1 where there is nothing */
function skip(length: number): number {
  if (length === -1) return -1;
  const begin = cursor.at;
  if (length < 0 || begin + length > cursor.bytes.length) {
    cursor.plain = false;
    return -1;
  }
  cursor.at += length;
  return begin;
}

/**
 * Has kafkajs use `decodeBatch`: it loads its decoders at the first fetch, and takes what stands for this one then. To be
 * called before anything is consumed; it may be called again.
 */
export function installBatchDecoder(): void {
  const loaded = require.cache[PATH];
  if (loaded !== undefined) loaded.exports = decodeBatch;
}
