import type { IHeaders, KafkaMessage } from 'kafkajs';

/** A part of some bytes. */
export interface Span {
  readonly bytes: Buffer;
  /** Of the same bytes. */
  readonly view: DataView;
  readonly begin: number;
  readonly end: number;
}

/** What the batch of a record says of all its records, as kafkajs has it. */
export interface BatchContext {
  firstOffset: string;
  firstTimestamp: string;
  magicByte: number;
  isControlBatch?: boolean;
  timestampType: number;
  maxTimestamp: string;
}

const LOG_APPEND_TIME = 1;

/** What plain records of one batch share. */
export class PlainBatch {
  readonly firstOffset: number;
  readonly firstTimestamp: number;
  /** Where the broker stamped them: one timestamp for all. */
  readonly appendedAt: number | null;
  readonly view: DataView;

  constructor(
    readonly context: BatchContext,
    /** Of all its records, not compressed. */
    readonly bytes: Buffer,
  ) {
    this.view = viewOf(bytes);
    this.firstOffset = Number(context.firstOffset);
    this.firstTimestamp = Number(context.firstTimestamp);
    this.appendedAt =
      context.timestampType === LOG_APPEND_TIME && context.maxTimestamp ? Number(context.maxTimestamp) : null;
  }
}

/**
 * A record without headers, as places in the bytes of its batch. It is what kafkajs would have made of it; but numbers become
 * strings, and its key and value bytes of their own, only where somebody asks for them. As a span, it is its value's.
 */
export class PlainRecord implements Span {
  constructor(
    readonly batch: PlainBatch,
    readonly attributes: number,
    readonly timestampDelta: number,
    readonly offsetDelta: number,
    readonly keyBegin: number,
    readonly keyEnd: number,
    /** -1 where there is no value. */
    readonly begin: number,
    readonly end: number,
  ) {}

  get bytes(): Buffer {
    return this.batch.bytes;
  }

  get view(): DataView {
    return this.batch.view;
  }

  get offsetNumber(): number {
    return this.batch.firstOffset + this.offsetDelta;
  }

  /** Epoch milliseconds. */
  get stampedAt(): number {
    return this.batch.appendedAt ?? this.batch.firstTimestamp + this.timestampDelta;
  }

  get offset(): string {
    return String(this.offsetNumber);
  }

  get timestamp(): string {
    return String(this.stampedAt);
  }

  get key(): Buffer | null {
    return this.keyBegin < 0 ? null : this.bytes.subarray(this.keyBegin, this.keyEnd);
  }

  get value(): Buffer | null {
    return this.begin < 0 ? null : this.bytes.subarray(this.begin, this.end);
  }

  get headers(): IHeaders {
    return {};
  }

  get magicByte(): number {
    return this.batch.context.magicByte;
  }

  get isControlRecord(): boolean {
    return this.batch.context.isControlBatch ?? false;
  }

  get batchContext(): BatchContext {
    return this.batch.context;
  }
}

/** A record's offset, as a number. */
export function offsetOf(message: KafkaMessage): number {
  return message instanceof PlainRecord ? message.offsetNumber : Number(message.offset);
}

/** A record's Kafka timestamp, epoch milliseconds. */
export function stampOf(message: KafkaMessage): number {
  return message instanceof PlainRecord ? message.stampedAt : Number(message.timestamp);
}

/** Where a record's value stands, null where it has none. */
export function valueOf(message: KafkaMessage): Span | null {
  if (message instanceof PlainRecord) return message.begin < 0 ? null : message;
  const { value } = message;
  return value === null ? null : { bytes: value, view: viewOf(value), begin: 0, end: value.length };
}

function viewOf({ buffer, byteOffset, length }: Buffer): DataView {
  return new DataView(buffer, byteOffset, length);
}
