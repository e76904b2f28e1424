/** What a batch says of all its records, as kafkajs's decoder of a record wants it. */
export interface BatchContext {
  firstOffset: string;
  firstTimestamp: string;
  magicByte: number;
  isControlBatch: boolean;
  inTransaction: boolean;
  producerId: string;
  timestampType: number;
  maxTimestamp: string;
}

const LOG_APPEND_TIME = 1;

/** The records of one batch, as bytes. */
export class RecordBatch {
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
 * Records of a batch that follow one another. kafkajs takes them for one message, whose offset is the last of them: so it
 * keeps them where any of them is wanted, and goes on behind them. A `RecordReader` reads them.
 */
export class RecordRun {
  readonly isControlRecord = false;
  /** By it kafkajs looks for the markers of transactions. */
  readonly key = null;

  constructor(
    readonly batch: RecordBatch,
    /** Where they begin in its bytes. */
    readonly begin: number,
    readonly count: number,
    readonly lastOffset: number,
  ) {}

  get offset(): string {
    return String(this.lastOffset);
  }

  get batchContext(): BatchContext {
    return this.batch.context;
  }

  /** Whoever takes it for a message of kafkajs is told so. */
  get value(): never {
    throw new Error('This stands for many records: read it with a RecordReader (platform/record-reader.ts)');
  }
}

/** A view of the same bytes. */
export function viewOf({ buffer, byteOffset, length }: Buffer): DataView {
  return new DataView(buffer, byteOffset, length);
}
