import { addAbortSignal, type Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import kafkajs, { type Kafka } from 'kafkajs';
import { createProducer, withAdmin } from '../platform/kafka.ts';
import { LineSplitter, type SplitLines } from './lines.ts';
import { Outbox, type Refusal } from './outbox.ts';
import { routeOf } from './route.ts';
import { findTargets, type Targets, type TargetSettings } from './topics.ts';

export const COMPRESSIONS = {
  none: kafkajs.CompressionTypes.None,
  gzip: kafkajs.CompressionTypes.GZIP,
  snappy: kafkajs.CompressionTypes.Snappy,
  lz4: kafkajs.CompressionTypes.LZ4,
  zstd: kafkajs.CompressionTypes.ZSTD,
} as const;
export type Compression = keyof typeof COMPRESSIONS;

/** A file, or standard input. */
export interface Input {
  name: string;
  open: () => Readable;
}

export interface SendOptions extends TargetSettings {
  kafka: Kafka;
  inputs: readonly Input[];
  compression: Compression;
  /** Lines a second; as fast as it goes where not given. */
  rate?: number;
  /** When it is aborted, what was read is sent, and no more is read. */
  signal?: AbortSignal;
  /** Told now and then. */
  onProgress?: (progress: Progress) => void;
}

export interface Progress {
  bytesRead: number;
  lines: number;
}

/** A line of an input. */
export interface LineOf {
  input: string;
  line: number;
}

export interface SendResult {
  /** Acknowledged by all in-sync replicas, by topic. */
  sent: Record<string, number>;
  /** Of these, lines without a known type or a profile: the stream dead-letters them. */
  unroutable: number;
  /** Lines with nothing in them. */
  empty: number;
  /** Too long for the topic. */
  notSent: Refusal<LineOf>[];
  interrupted: boolean;
}

/** No broker takes a request of a hundred megabytes; longer lines are not even held. */
const LONGEST_LINE = 32 * 1024 * 1024;
/** How finely lines are paced. */
const SLICES_A_SECOND = 20;

/**
 * Publishes lines to the topic of their type, keyed by profile, in order. A line that cannot be routed goes as it is to the
 * impression topic.
 *
 * @throws NoSuchTopicError, NotLinesError, SendFailedError; what opening or reading an input throws
 */
export async function sendLines(options: SendOptions): Promise<SendResult> {
  const targets = await withAdmin(options.kafka, (admin) => findTargets(admin, options));
  const producer = createProducer(options.kafka, { idempotent: true });
  await producer.connect();
  try {
    return await sendThrough(
      new Outbox(producer, targets.partitions, COMPRESSIONS[options.compression]),
      targets,
      options,
    );
  } finally {
    await producer.disconnect();
  }
}

async function sendThrough(outbox: Outbox<LineOf>, targets: Targets, options: SendOptions): Promise<SendResult> {
  const { inputs, rate, signal, onProgress = () => {} } = options;
  const counts = { unroutable: 0, empty: 0, lines: 0, bytesRead: 0 };
  const tooLong: Refusal<LineOf>[] = [];
  const slice = rate === undefined ? Infinity : Math.max(1, Math.floor(rate / SLICES_A_SECOND));
  const started = performance.now();

  const take = async (input: string, { lines, empty, tooLong: long }: SplitLines): Promise<void> => {
    counts.empty += empty;
    tooLong.push(...long.map(({ number, bytes }) => ({ source: { input, line: number }, bytes })));
    for (const { number, bytes } of lines) {
      if (signal?.aborted) return;
      const { kind, key } = routeOf(bytes);
      if (kind === 'unroutable') counts.unroutable++;
      outbox.add({
        topic: targets[kind === 'playback' ? 'playback' : 'impression'],
        key,
        value: bytes,
        source: { input, line: number },
      });
      counts.lines++;
      if (rate === undefined || counts.lines % slice !== 0) continue;
      await outbox.offer();
      onProgress(counts);
      await sleepUntil(started + (counts.lines / rate) * 1000, signal);
    }
    await outbox.offer();
    onProgress(counts);
  };

  try {
    for (const { name, open } of inputs) {
      const splitter = new LineSplitter(name, LONGEST_LINE);
      if (signal?.aborted) break;
      for await (const chunk of chunksOf(open(), signal)) {
        counts.bytesRead += chunk.length;
        await take(name, splitter.split(chunk));
      }
      if (!signal?.aborted) await take(name, splitter.end());
    }
  } finally {
    // What was read before an input failed is sent all the same.
    await outbox.settle();
  }
  const { unroutable, empty } = counts;
  const notSent = [...tooLong, ...outbox.refused];
  return { sent: Object.fromEntries(outbox.sent), unroutable, empty, notSent, interrupted: signal?.aborted ?? false };
}

/** What a stream holds, until it ends or the signal is aborted, also while nothing comes. */
async function* chunksOf(stream: Readable, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
  if (signal) addAbortSignal(signal, stream);
  try {
    for await (const chunk of stream) yield chunk as Buffer;
  } catch (error) {
    if (!signal?.aborted) throw error;
  }
}

async function sleepUntil(due: number, signal: AbortSignal | undefined): Promise<void> {
  const ahead = due - performance.now();
  // An abort only cuts the sleep short.
  if (ahead > 1) await sleep(ahead, undefined, { ...(signal && { signal }) }).catch(() => {});
}
