import type { Mix, Range } from './config.ts';

/** The character codes of the hexadecimal digits. */
const HEX = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0));
const DASH = 45;

/** The generator sfc32: small, fast, and the same on every machine. Its state is in a typed array to stay unboxed. */
export class Random {
  private readonly state: Uint32Array;

  /** A stream of its own for each label, so that a change to one part of the simulator leaves the others alone. */
  constructor(seed: number, label: string) {
    this.state = new Uint32Array([hash(label, seed >>> 0), hash(label, Math.floor(seed / 2 ** 32)), hash(label, 7), 1]);
    for (let i = 0; i < 16; i++) this.u32();
  }

  u32(): number {
    const s = this.state;
    const a = s[0];
    const b = s[1];
    const c = s[2];
    const d = s[3];
    const t = (((a + b) | 0) + d) | 0;
    s[3] = (d + 1) | 0;
    s[0] = b ^ (b >>> 9);
    s[1] = (c + (c << 3)) | 0;
    s[2] = (((c << 21) | (c >>> 11)) + t) | 0;
    return t >>> 0;
  }

  /** In [0, 1). */
  float(): number {
    return this.u32() * 2 ** -32;
  }

  chance(share: number): boolean {
    return this.u32() < share * 2 ** 32;
  }

  /** A whole number in [0, n). */
  below(n: number): number {
    return Math.floor(this.u32() * 2 ** -32 * n);
  }

  /** A whole number of the range, both ends included. */
  within(range: Range): number {
    return range[0] + this.below(range[1] - range[0] + 1);
  }

  mixed(mix: Mix): number {
    let u = this.float();
    for (const { share, range } of mix) {
      if (u < share) return this.within(range);
      u -= share;
    }
    return this.within(mix.at(-1)!.range);
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)];
  }

  /** An index below n whose chance falls like 1 / (index + 1)^0.8: zipf-like, without tables. */
  zipf(n: number): number {
    const u = this.float();
    return Math.floor(n * u * u * u * u * u);
  }

  /** Mean 1. */
  exponential(): number {
    return -Math.log(1 - this.float());
  }

  /** Mean 0, standard deviation 1 (near enough: the sum of twelve). */
  normal(): number {
    let sum = -6;
    for (let i = 0; i < 12; i++) sum += this.float();
    return sum;
  }

  /** A UUID of version 4. One call with all the codes makes a flat string, several times as fast as joining parts. */
  uuid(): string {
    const a = this.u32();
    const b = this.u32();
    const c = this.u32();
    const d = this.u32();
    // oxfmt-ignore
    return String.fromCharCode(
      HEX[a >>> 28], HEX[(a >>> 24) & 15], HEX[(a >>> 20) & 15], HEX[(a >>> 16) & 15],
      HEX[(a >>> 12) & 15], HEX[(a >>> 8) & 15], HEX[(a >>> 4) & 15], HEX[a & 15],
      DASH, HEX[b >>> 28], HEX[(b >>> 24) & 15], HEX[(b >>> 20) & 15],
      HEX[(b >>> 16) & 15], DASH, 52, HEX[(b >>> 8) & 15],
      HEX[(b >>> 4) & 15], HEX[b & 15], DASH, HEX[8 | (c >>> 30)],
      HEX[(c >>> 24) & 15], HEX[(c >>> 20) & 15], HEX[(c >>> 16) & 15], DASH,
      HEX[(c >>> 12) & 15], HEX[(c >>> 8) & 15], HEX[(c >>> 4) & 15], HEX[c & 15],
      HEX[d >>> 28], HEX[(d >>> 24) & 15], HEX[(d >>> 20) & 15], HEX[(d >>> 16) & 15],
      HEX[(d >>> 12) & 15], HEX[(d >>> 8) & 15], HEX[(d >>> 4) & 15], HEX[d & 15],
    );
  }

  /** 16 hexadecimal digits. */
  hex(): string {
    const a = this.u32();
    const b = this.u32();
    // oxfmt-ignore
    return String.fromCharCode(
      HEX[a >>> 28], HEX[(a >>> 24) & 15], HEX[(a >>> 20) & 15], HEX[(a >>> 16) & 15],
      HEX[(a >>> 12) & 15], HEX[(a >>> 8) & 15], HEX[(a >>> 4) & 15], HEX[a & 15],
      HEX[b >>> 28], HEX[(b >>> 24) & 15], HEX[(b >>> 20) & 15], HEX[(b >>> 16) & 15],
      HEX[(b >>> 12) & 15], HEX[(b >>> 8) & 15], HEX[(b >>> 4) & 15], HEX[b & 15],
    );
  }
}

/** FNV-1a with a final avalanche. */
function hash(text: string, seed: number): number {
  let h = (0x811c9dc5 ^ seed) >>> 0;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
