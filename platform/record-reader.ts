import { createRequire } from 'node:module';
import type { IHeaders, KafkaMessage } from 'kafkajs';
import { type BatchContext, type RecordBatch, RecordRun, viewOf } from './record-run.ts';

/** A part of some bytes. */
export interface Span {
  readonly bytes: Buffer;
  /** Of the same bytes. */
  readonly view: DataView;
  readonly begin: number;
  readonly end: number;
}

/** A record that neither we nor kafkajs can make sense of: the log is damaged. */
export class UnreadableRecordError extends Error {
  override readonly name = 'UnreadableRecordError';
}

/** Seven bits each: an integer of so many bytes is exact as a number, whatever its bits. */
const MOST_VARINT_BYTES = 7;
const NOTHING = Buffer.alloc(0);
const NO_VIEW = viewOf(NOTHING);

const require = createRequire(import.meta.url);
const DecoderOf = require('kafkajs/src/protocol/decoder') as new (buffer: Buffer) => object;
/** kafkajs's own decoder of one record, which decides wherever a number is more than a double holds. */
const decodeRecord = require('kafkajs/src/protocol/recordBatch/record/v0/decoder') as (
  decoder: object,
  context: BatchContext,
) => KafkaMessage;

/** Where a record stands: its key, and its value, whose span it is. */
export class RecordPlace implements Span {
  offset = -1;
  /** Its Kafka timestamp, epoch milliseconds. */
  stampedAt = -1;
  bytes: Buffer = NOTHING;
  view: DataView = NO_VIEW;
  /** -1 where there is no value. */
  begin = -1;
  end = -1;
  protected keyBytes: Buffer = NOTHING;
  /** -1 where there is no key. */
  protected keyBegin = -1;
  protected keyEnd = -1;

  get key(): Buffer | null {
    return this.keyBegin < 0 ? null : this.keyBytes.subarray(this.keyBegin, this.keyEnd);
  }

  get value(): Buffer | null {
    return this.begin < 0 ? null : this.bytes.subarray(this.begin, this.end);
  }

  /** Sets this to where another stands; as long as it does, all bytes that were fetched with that stay in memory. */
  copy(other: RecordPlace): void {
    this.offset = other.offset;
    this.stampedAt = other.stampedAt;
    this.bytes = other.bytes;
    this.view = other.view;
    this.begin = other.begin;
    this.end = other.end;
    this.keyBytes = other.keyBytes;
    this.keyBegin = other.keyBegin;
    this.keyEnd = other.keyEnd;
  }

  /** Sets this to no record. */
  clear(): void {
    this.copy(NO_RECORD);
  }
}

const NO_RECORD = new RecordPlace();

/**
 * Goes through the records of what was fetched, and stands at one of them at a time: no object is made of a record. What it
 * says of one is what kafkajs would have made of it. Records with numbers that a double does not hold are left to kafkajs.
 *
 * The layout is that of the Kafka protocol, format v2 (https://kafka.apache.org/documentation/#messageformat).
 */
export class RecordReader extends RecordPlace {
  /** Runs of records, and messages of kafkajs's own. */
  readonly #messages: KafkaMessage[];
  #nextMessage = 0;
  /** Records before are passed over: a batch may begin before what was asked for. */
  #from: number;
  /** The run that is read: how many of its records are left, and where the next begins. */
  #batch: RecordBatch | null = null;
  #left = 0;
  #at = 0;
  #plain = true;
  /** Where it stands: bounds of the record in its batch, or kafkajs's message. */
  #lengthAt = 0;
  #recordBegin = 0;
  #recordEnd = 0;
  #message: KafkaMessage | null = null;

  /** @param messages of a batch of kafkajs */
  constructor(messages: readonly KafkaMessage[], from = 0) {
    super();
    this.#messages = [...messages];
    this.#from = from;
  }

  /** Has these read after all others. */
  add(messages: readonly KafkaMessage[]): void {
    this.#messages.splice(0, this.#nextMessage);
    this.#nextMessage = 0;
    for (const message of messages) this.#messages.push(message);
  }

  /** Whether there surely is no other record. */
  get atEnd(): boolean {
    return this.#left === 0 && this.#nextMessage === this.#messages.length;
  }

  /**
   * Goes on to the next record. @returns false where there is none: it stands where it stood
   *
   * @throws UnreadableRecordError
   */
  next(): boolean {
    for (;;) {
      if (this.#left > 0 && this.#batch !== null) {
        this.#left--;
        this.#readNext(this.#batch);
      } else if (this.#nextMessage < this.#messages.length) {
        const message: object = this.#messages[this.#nextMessage++];
        if (message instanceof RecordRun) {
          this.#batch = message.batch;
          this.#left = message.count;
          this.#at = message.begin;
          continue;
        }
        this.#standAt(message as KafkaMessage);
      } else {
        return false;
      }
      if (this.offset < this.#from) continue;
      this.#from = this.offset + 1;
      return true;
    }
  }

  /** Where what is read began in the bytes of its batch, its length included; null where it is kafkajs's own. */
  get place(): number | null {
    return this.#message === null ? this.#lengthAt : null;
  }

  /** Of the record; made for whoever asks. */
  get headers(): IHeaders {
    return this.message.headers ?? {};
  }

  /** The record as kafkajs has it; made for whoever asks. */
  get message(): KafkaMessage {
    return this.#message ?? this.#decode(this.#batch, this.#recordBegin, this.#recordEnd);
  }

  #readNext(batch: RecordBatch): void {
    const { bytes } = batch;
    this.#plain = true;
    const lengthAt = this.#at;
    const length = this.#readVarint(bytes);
    const recordBegin = this.#at;
    const recordEnd = recordBegin + length;
    // Its attributes, which are unused.
    this.#nextByte(bytes);
    const timestamp = batch.firstTimestamp + this.#readVarint(bytes);
    const offset = batch.firstOffset + this.#readVarint(bytes);
    const keyLength = this.#readVarint(bytes);
    const keyBegin = this.#skip(keyLength, recordEnd);
    const keyEnd = this.#at;
    const valueLength = this.#readVarint(bytes);
    const begin = this.#skip(valueLength, recordEnd);
    const end = this.#at;
    // Its headers follow.
    this.#at = recordEnd;
    const exact = Number.isSafeInteger(timestamp) && Number.isSafeInteger(offset);
    if (!this.#plain || !exact || end >= recordEnd || recordEnd > bytes.length) {
      this.#standAt(this.#decode(batch, recordBegin, recordEnd));
      return;
    }
    this.offset = offset;
    this.stampedAt = batch.appendedAt ?? timestamp;
    this.bytes = bytes;
    this.view = batch.view;
    this.begin = begin;
    this.end = end;
    this.keyBytes = bytes;
    this.keyBegin = keyBegin;
    this.keyEnd = keyEnd;
    this.#lengthAt = lengthAt;
    this.#recordBegin = recordBegin;
    this.#recordEnd = recordEnd;
    this.#message = null;
  }

  #standAt(message: KafkaMessage): void {
    const { key, value } = message;
    this.offset = Number(message.offset);
    this.stampedAt = Number(message.timestamp);
    this.bytes = value ?? NOTHING;
    this.view = value === null ? NO_VIEW : viewOf(value);
    this.begin = value === null ? -1 : 0;
    this.end = value?.length ?? -1;
    this.keyBytes = key ?? NOTHING;
    this.keyBegin = key === null ? -1 : 0;
    this.keyEnd = key?.length ?? -1;
    this.#message = message;
  }

  #decode(batch: RecordBatch | null, begin: number, end: number): KafkaMessage {
    if (batch === null) throw new Error('There is no record to decode');
    try {
      return decodeRecord(new DecoderOf(batch.bytes.subarray(begin, end)), batch.context);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new UnreadableRecordError(
        `A record after offset ${this.#from - 1} cannot be decoded (${reason}): the log is damaged`,
        { cause: error },
      );
    }
  }

  /** No index is ever out of bounds: one such makes all look-ups slow for good. */
  #nextByte(bytes: Buffer): number {
    if (this.#at < bytes.length) return bytes[this.#at++];
    this.#plain = false;
    return 0;
  }

  #readVarint(bytes: Buffer): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < MOST_VARINT_BYTES; count++) {
      const byte = this.#nextByte(bytes);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
      scale *= 128;
    }
    this.#plain = false;
    return 0;
  }

  /** Passes over so many bytes, none where there is nothing (-1). @returns where they begin, -1 where there is nothing */
  #skip(length: number, end: number): number {
    if (length === -1) return -1;
    const begin = this.#at;
    if (length < 0 || begin + length > end) {
      this.#plain = false;
      return -1;
    }
    this.#at += length;
    return begin;
  }
}
