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
