import kafkajs, { type CompressionTypes, type PartitionMetadata, type Producer } from 'kafkajs';

/** One record on its way. */
export interface Outgoing<Source> {
  topic: string;
  /** Where it belongs; its key decides where not given. */
  partition?: number;
  key: string | Buffer | null;
  value: Buffer | null;
  headers?: Record<string, string>;
  /** Where it comes from, to name it by. */
  source: Source;
}

/** A record that is longer than its topic takes. */
export interface Refusal<Source> {
  source: Source;
  bytes: number;
}

/** Kafka failed for good while lines were on their way. */
export class SendFailedError extends Error {
  override readonly name = 'SendFailedError';
  constructor(sent: number, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(
      `Kafka failed after ${sent} records (${reason}). Send the same again once it is well: ` +
        `records that are there twice are recognised as copies`,
      { cause },
    );
  }
}

interface Batch<Source> {
  topic: string;
  partition: number;
  records: Outgoing<Source>[];
  bytes: number;
}

/** A request to one partition has at most this much, below what brokers take by default (1 MB). */
const BATCH_BYTES = 512 * 1024;
/** kafkajs groups the records of a request in time that grows with their square. */
const BATCH_RECORDS = 1_000;
/** What may wait while a block is on its way. */
const BLOCK_BYTES = 4 * 1024 * 1024;

/**
 * Sends records in blocks: one is on its way while the next is being gathered, so memory is bounded by two of them, and
 * slow input is sent as it comes.
 *
 * Order within a partition is kept, without copies, by never having two requests for one partition under way: kafkajs
 * gives the sequence number of a request that failed, but may have been written, to whichever request comes next. For the
 * same reason each request has one partition, chosen here: where it is tried again it is the same request.
 */
export class Outbox<Source> {
  readonly sent = new Map<string, number>();
  readonly refused: Refusal<Source>[] = [];
  readonly #producer: Pick<Producer, 'send'>;
  readonly #partitions: ReadonlyMap<string, PartitionMetadata[]>;
  readonly #compression: CompressionTypes;
  readonly #partitionOf = kafkajs.Partitioners.DefaultPartitioner();
  #block = new Map<string, Batch<Source>[]>();
  #bytes = 0;
  #sending: Promise<void> | null = null;
  #failure: unknown = null;

  constructor(
    producer: Pick<Producer, 'send'>,
    partitions: ReadonlyMap<string, PartitionMetadata[]>,
    compression: CompressionTypes,
  ) {
    this.#producer = producer;
    this.#partitions = partitions;
    this.#compression = compression;
  }

  get sentInAll(): number {
    return [...this.sent.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Puts a record into the block that is being gathered. */
  add(record: Outgoing<Source>): void {
    const { topic, key, value } = record;
    const partitionMetadata = this.#partitions.get(topic) ?? [];
    const partition = record.partition ?? this.#partitionOf({ topic, partitionMetadata, message: { key, value } });
    const name = `${topic}/${partition}`;
    const batches = this.#block.get(name) ?? [];
    this.#block.set(name, batches);
    const last = batches.at(-1);
    const size = (value?.length ?? 0) + (key?.length ?? 0);
    this.#bytes += size;
    if (last === undefined || last.records.length >= BATCH_RECORDS || last.bytes + size > BATCH_BYTES) {
      batches.push({ topic, partition, records: [record], bytes: size });
    } else {
      last.records.push(record);
      last.bytes += size;
    }
  }

  /**
   * Has what was gathered sent as soon as may be, and waits where much is waiting already.
   *
   * @throws SendFailedError
   */
  async offer(): Promise<void> {
    while (this.#sending !== null && this.#bytes >= BLOCK_BYTES) await this.#sending;
    this.#next();
    this.#throwFailure();
  }

  /**
   * Waits until all is sent.
   *
   * @throws SendFailedError
   */
  async settle(): Promise<void> {
    this.#next();
    while (this.#sending !== null) await this.#sending;
    this.#throwFailure();
  }

  #throwFailure(): void {
    if (this.#failure !== null) throw new SendFailedError(this.sentInAll, this.#failure);
  }

  #next(): void {
    if (this.#sending !== null || this.#block.size === 0 || this.#failure !== null) return;
    const block = this.#block;
    this.#block = new Map();
    this.#bytes = 0;
    this.#sending = this.#sendBlock(block);
  }

  /** Never rejects: a failure is kept for whoever waits. */
  async #sendBlock(block: ReadonlyMap<string, Batch<Source>[]>): Promise<void> {
    const lanes = [...block.values()].map(async (batches) => {
      for (const batch of batches) await this.#sendBatch(batch);
    });
    // All have ended when this returns: nothing is under way any more.
    const outcomes = await Promise.allSettled(lanes);
    this.#failure ??= outcomes.find((outcome) => outcome.status === 'rejected')?.reason ?? null;
    this.#sending = null;
    this.#next();
  }

  async #sendBatch(batch: Batch<Source>): Promise<void> {
    const { topic, partition, records } = batch;
    const messages = records.map(({ key, value, headers }) => ({ key, value, partition, ...(headers && { headers }) }));
    try {
      await this.#producer.send({ topic, messages, compression: this.#compression });
    } catch (error) {
      if (!isTooLarge(error)) throw error;
      await this.#sendSmaller(batch);
      return;
    }
    this.sent.set(topic, (this.sent.get(topic) ?? 0) + records.length);
  }

  /** The topic takes less than usual, or one line is too long by itself: which, halving finds out. */
  async #sendSmaller({ topic, partition, records }: Batch<Source>): Promise<void> {
    if (records.length === 1) {
      const [{ source, value }] = records;
      this.refused.push({ source, bytes: value?.length ?? 0 });
      return;
    }
    const half = Math.ceil(records.length / 2);
    for (const part of [records.slice(0, half), records.slice(half)]) {
      await this.#sendBatch({ topic, partition, records: part, bytes: 0 });
    }
  }
}

function isTooLarge(error: unknown): boolean {
  const { type } = error as { type?: string };
  return type === 'MESSAGE_TOO_LARGE' || type === 'RECORD_LIST_TOO_LARGE';
}
