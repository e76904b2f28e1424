import { createRequire } from 'node:module';

/** kafkajs's decoder: bytes, and how far they were read. */
interface Decoder {
  buffer: Buffer;
  offset: number;
}

/** What the batch of a record says of all its records. */
interface BatchContext {
  firstOffset: string;
  firstTimestamp: string;
  magicByte: number;
  isControlBatch?: boolean;
  timestampType: number;
  maxTimestamp: string;
}

type DecodeRecord = (decoder: Decoder, context: BatchContext) => object;

const LOG_APPEND_TIME = 1;
/** Seven bits each: an integer of so many bytes is exact as a number, whatever its bits. */
const MOST_VARINT_BYTES = 7;

const require = createRequire(import.meta.url);
const PATH = require.resolve('kafkajs/src/protocol/recordBatch/record/v0/decoder');
/** kafkajs's own decoder of one record, which decides wherever a record is anything but plain. */
export const decodeRecordPlainly = require(PATH) as DecodeRecord;

/**
 * Decodes one record of a batch as kafkajs does, for a third of the time: kafkajs adds every offset and timestamp up in an
 * object of big integers for each byte. Records with headers, and numbers that a double does not hold, are left to kafkajs.
 *
 * The layout is that of the Kafka protocol, record format v2 (https://kafka.apache.org/documentation/#record).
 */
export function decodeRecord(decoder: Decoder, context: BatchContext): object {
  const begin = decoder.offset;
  cursor.buffer = decoder.buffer;
  cursor.at = begin + 1;
  cursor.plain = true;
  const timestampDelta = readVarint();
  const offsetDelta = readVarint();
  const key = readBytes();
  const value = readBytes();
  const headers = readVarint();
  if (context !== base.context) rebase(context);
  const timestamp = base.timestamp + timestampDelta;
  const offset = base.offset + offsetDelta;
  if (!cursor.plain || headers !== 0 || !Number.isSafeInteger(timestamp) || !Number.isSafeInteger(offset)) {
    decoder.offset = begin;
    return decodeRecordPlainly(decoder, context);
  }
  decoder.offset = cursor.at;
  return {
    magicByte: context.magicByte,
    attributes: decoder.buffer.readInt8(begin),
    timestamp:
      context.timestampType === LOG_APPEND_TIME && context.maxTimestamp ? context.maxTimestamp : String(timestamp),
    offset: String(offset),
    key,
    value,
    headers: {},
    isControlRecord: context.isControlBatch ?? false,
    batchContext: context,
  };
}

/** Where reading is: kept between calls, since a record is decoded in one go. */
const cursor: { buffer: Buffer; at: number; plain: boolean } = { buffer: Buffer.alloc(0), at: 0, plain: true };
/** The numbers of the batch in hand. */
const base: { context: BatchContext | null; timestamp: number; offset: number } = {
  context: null,
  timestamp: NaN,
  offset: NaN,
};

function rebase(context: BatchContext): void {
  base.context = context;
  base.timestamp = Number(context.firstTimestamp);
  base.offset = Number(context.firstOffset);
}

function readVarint(): number {
  let value = 0;
  let scale = 1;
  for (let bytes = 0; bytes < MOST_VARINT_BYTES; bytes++) {
    const byte = cursor.buffer[cursor.at++];
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    scale *= 128;
  }
  cursor.plain = false;
  return 0;
}

function readBytes(): Buffer | null {
  const length = readVarint();
  if (length === -1) return null;
  const end = cursor.at + length;
  if (length < 0 || end > cursor.buffer.length) {
    cursor.plain = false;
    return null;
  }
  const bytes = cursor.buffer.subarray(cursor.at, end);
  cursor.at = end;
  return bytes;
}

/**
 * Has kafkajs use `decodeRecord`: it loads its decoders at the first fetch, and takes what stands for this one then. To be
 * called before anything is consumed; it may be called again.
 */
export function installRecordDecoder(): void {
  const loaded = require.cache[PATH];
  if (loaded !== undefined) loaded.exports = decodeRecord;
}
