/** While live, a commit waits this long for company; while catching up, it waits for many records. */
export const LINGER_MS = 5;
export const CATCH_UP_LINGER_MS = 5_000;
/** The same where a topic is read at its end beside another that is far behind. */
export const BESIDE_CATCH_UP_LINGER_MS = 300;
/** So many records before its end a topic is being caught up. */
const FAR_BEHIND = 5_000;

/** How far a topic is read. */
interface Read {
  /** The next offset to read, that of the log, and that up to which all is committed. */
  position: number;
  end: number;
  committed: number;
}

/**
 * For how long what was read may wait to be committed, milliseconds. A topic that is read at its end does not wait for another
 * that is far behind, be it only for an open transaction there.
 */
export function lingerOf(topics: readonly Read[]): number {
  const isBehind = ({ position, end }: Read) => end - position > FAR_BEHIND;
  if (!topics.some(isBehind)) return LINGER_MS;
  const read = topics.filter(({ position, committed }) => position !== committed);
  return read.every(isBehind) ? CATCH_UP_LINGER_MS : BESIDE_CATCH_UP_LINGER_MS;
}

/** Rings once, at the earliest time that it was set to. */
export class Alarm {
  readonly #ring: () => void;
  #timer: NodeJS.Timeout | null = null;
  #at = 0;

  constructor(ring: () => void) {
    this.#ring = ring;
  }

  within(ms: number): void {
    const at = Date.now() + ms;
    if (this.#timer !== null && this.#at <= at) return;
    this.clear();
    this.#at = at;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#ring();
    }, ms);
  }

  clear(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
