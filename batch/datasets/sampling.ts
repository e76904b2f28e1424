import { createHash } from 'node:crypto';

/** How negatives are chosen, in words that are kept with every dataset. */
export const SAMPLING =
  'A negative is kept where h < rate * 2^64: h is the first 8 bytes, as a big-endian unsigned integer, of the SHA-256 of the ' +
  'UTF-8 text seed + NUL + profile_id + NUL + impression_id, seed in decimal. It then weighs 1 / rate.';

/** Says of negatives which are kept; the same in every run and any language. */
export class Sampling {
  readonly #seed: number;
  readonly #limit: bigint;
  /** Of a negative that is kept. */
  readonly weight: number;

  /** @param rate above 0, at most 1 */
  constructor(seed: number, rate: number) {
    this.#seed = seed;
    // Exact: a number times a power of two.
    this.#limit = BigInt(Math.ceil(rate * 2 ** 64));
    this.weight = 1 / rate;
  }

  keeps(profileId: string, impressionId: string): boolean {
    const hash = createHash('sha256').update(`${this.#seed}\0${profileId}\0${impressionId}`, 'utf8').digest();
    return hash.readBigUInt64BE(0) < this.#limit;
  }
}
