import { setTimeout as sleep } from 'node:timers/promises';
import type { Kafka, Producer } from 'kafkajs';
import { createProducer, isAway } from '../platform/kafka.ts';
import type { Logger } from '../platform/log.ts';
import type { Outage } from '../platform/outage.ts';
import { isPassing } from '../platform/passing.ts';
import { withTransaction, type Pool } from '../platform/postgres.ts';

const EVERY_MS = 500;
const PAUSE_AFTER_FAULT_MS = 5_000;
const AT_A_TIME = 100;
/** Of one request, well below what a broker takes by default; a letter beyond it goes without its value. */
const MOST_BYTES = 512 * 1024;

interface LetterToRelay {
  id: number;
  topic: string;
  partition: number;
  offset: number;
  reason: string;
  field: string | null;
  message: string;
  key: Buffer | null;
  /** null where there is none, or it is too large to be sent on. */
  value: Buffer | null;
  bytes: number | null;
}

/**
 * Sends dead letters on from their table to the dead-letter topic: the value as it was, its key and the reason as headers. The rows
 * are what counts: a letter is sent at least once, and `whence.id` in its headers tells a second copy.
 */
export class DeadLetterRelay {
  readonly #pool: Pool;
  readonly #topic: string;
  readonly #log: Logger;
  readonly #outage: Outage;
  readonly #producer: Producer;
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();

  private constructor(producer: Producer, pool: Pool, topic: string, log: Logger, outage: Outage) {
    this.#producer = producer;
    this.#pool = pool;
    this.#topic = topic;
    this.#log = log;
    this.#outage = outage;
  }

  static async start(kafka: Kafka, pool: Pool, topic: string, log: Logger, outage: Outage): Promise<DeadLetterRelay> {
    const producer = createProducer(kafka, { idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    const relay = new DeadLetterRelay(producer, pool, topic, log, outage);
    relay.#running = relay.#run();
    return relay;
  }

  /** Relays what there is, then ends. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    await this.#producer.disconnect();
  }

  async #run(): Promise<void> {
    let faulty = false;
    for (;;) {
      const last = this.#stopping.signal.aborted;
      try {
        while ((await this.#relaySome()) > 0);
        faulty = false;
        this.#outage.ended('relay');
      } catch (error) {
        // Letters are safe in their table: whatever is wrong now, they are relayed when it is over.
        if (error instanceof Error && (isPassing(error) || isAway(error))) this.#outage.began('relay', error);
        else if (!faulty) this.#log.warn({ err: error, topic: this.#topic }, 'cannot relay dead letters, trying again');
        faulty = true;
      }
      if (last) return;
      await sleep(faulty ? PAUSE_AFTER_FAULT_MS : EVERY_MS, undefined, { signal: this.#stopping.signal }).catch(
        () => {},
      );
    }
  }

  /** Rows are locked while they are sent, so that several processes relay each once. */
  async #relaySome(): Promise<number> {
    return withTransaction(this.#pool, async (client) => {
      const { rows: found } = await client.query<LetterToRelay>(
        `select id, topic, partition, "offset", reason, field, message, key,
           case when octet_length(value) + coalesce(octet_length(key), 0) <= $2 then value end as value,
           octet_length(value) as bytes
         from whence.dead_letters where relayed_at is null order by id limit $1 for update skip locked`,
        [AT_A_TIME, MOST_BYTES],
      );
      const rows = upTo(MOST_BYTES, found);
      if (rows.length === 0) return 0;
      await this.#producer.send({ topic: this.#topic, messages: rows.map(letterMessage) });
      await client.query('update whence.dead_letters set relayed_at = now() where id = any($1)', [
        rows.map((row) => row.id),
      ]);
      return rows.length;
    });
  }
}

/** As many from the front as fit together, and at least one. */
function upTo(bytes: number, letters: readonly LetterToRelay[]): LetterToRelay[] {
  let sum = 0;
  const end = letters.findIndex(({ value }, i) => (sum += (value?.length ?? 0) + 1_000) > bytes && i > 0);
  return letters.slice(0, end < 0 ? letters.length : end);
}

function letterMessage(letter: LetterToRelay) {
  return {
    // A key of its own, so that a letter that is sent again goes to the same partition, where the broker knows it.
    key: `${letter.topic}/${letter.partition}/${letter.offset}`,
    value: letter.value,
    headers: {
      'whence.id': String(letter.id),
      ...(letter.key !== null && letter.key.length < 10_000 && { 'whence.key': letter.key }),
      'whence.topic': letter.topic,
      'whence.partition': String(letter.partition),
      'whence.offset': String(letter.offset),
      'whence.reason': letter.reason,
      ...(letter.field !== null && { 'whence.field': letter.field }),
      'whence.message': letter.message,
      ...(letter.value === null && letter.bytes !== null && { 'whence.value-left-out': String(letter.bytes) }),
    },
  };
}
