import pRetry from 'p-retry';
import type { Logger } from './log.ts';

/** The two lines of an incident. */
export interface OutageWords {
  began: string;
  ended: string;
}

const SERVER: OutageWords = {
  began: 'a server is away or slow: waiting for it, nothing is lost',
  ended: 'the server is back, going on',
};

/**
 * A server that is away is one incident of a process, however many parts of it notice, and however often they try: one
 * warning when the first of them does, and one line when the last gets on again.
 */
export class Outage {
  readonly #log: Logger;
  readonly #words: OutageWords;
  readonly #waiting = new Set<string>();
  #since = 0;
  #noticed = new Set<string>();

  constructor(log: Logger, words = SERVER) {
    this.#log = log;
    this.#words = words;
  }

  /** The parts that wait now. */
  get waiting(): readonly string[] {
    return [...this.#waiting];
  }

  /** Whether this part waits. */
  isWaiting(part: string): boolean {
    return this.#waiting.has(part);
  }

  /** A part of this process, by its name, cannot get on, and tries again. May be called for each try. */
  began(part: string, error: unknown): void {
    if (this.#waiting.size === 0) {
      this.#since = Date.now();
      this.#noticed = new Set();
      this.#log.warn({ err: error, part }, this.#words.began);
    }
    this.#waiting.add(part);
    this.#noticed.add(part);
  }

  /** It gets on again, or is wanted no more. Nothing happens where it never waited. */
  ended(part: string): void {
    if (!this.#waiting.delete(part) || this.#waiting.size > 0) return;
    const seconds = Math.round((Date.now() - this.#since) / 1_000);
    this.#log.info({ seconds, parts: [...this.#noticed] }, this.#words.ended);
  }
}

export interface Waiting {
  outage: Outage;
  /** Who waits. */
  part: string;
  /** Whether a failure passes by itself. What does not ends the waiting. */
  passes: (error: Error) => boolean;
  /** The wait after the first failure; each is longer than the one before, 5 s at most. 100 ms by default. */
  firstMs?: number;
  signal?: AbortSignal;
  /** Told of each failure, passing or not. */
  onFailure?: (error: Error) => void;
}

/** Does what needs a server, again and again while it fails in a way that passes, as one incident. */
export async function waitOut<Result>(
  work: () => Promise<Result>,
  { outage, part, passes, firstMs = 100, signal, onFailure }: Waiting,
): Promise<Result> {
  try {
    return await pRetry(work, {
      retries: Infinity,
      minTimeout: firstMs,
      maxTimeout: 5_000,
      signal,
      shouldRetry: ({ error }) => passes(error),
      onFailedAttempt: ({ error }) => {
        onFailure?.(error);
        if (passes(error)) outage.began(part, error);
      },
    });
  } finally {
    outage.ended(part);
  }
}
