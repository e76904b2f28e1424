import type { Logger } from './log.ts';

/**
 * A server that is away is one incident of a process, however many parts of it notice, and however often they try: one
 * warning when the first of them does, and one line when the last gets on again.
 */
export class Outage {
  readonly #log: Logger;
  readonly #waiting = new Set<string>();
  #since = 0;
  #noticed = new Set<string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** A part of this process, by its name, cannot get on, and tries again. May be called for each try. */
  began(part: string, error: unknown): void {
    if (this.#waiting.size === 0) {
      this.#since = Date.now();
      this.#noticed = new Set();
      this.#log.warn({ err: error, part }, 'a server is away: waiting for it, nothing is lost');
    }
    this.#waiting.add(part);
    this.#noticed.add(part);
  }

  /** It gets on again, or is wanted no more. Nothing happens where it never waited. */
  ended(part: string): void {
    if (!this.#waiting.delete(part) || this.#waiting.size > 0) return;
    const seconds = Math.round((Date.now() - this.#since) / 1_000);
    this.#log.info({ seconds, parts: [...this.#noticed] }, 'the server is back, going on');
  }
}
