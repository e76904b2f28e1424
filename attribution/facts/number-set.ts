/** Small numbers, a bit each. */
export class NumberSet {
  #bits = new Uint8Array(1024);

  /** @returns whether it was not there yet */
  add(number: number): boolean {
    const at = number >> 3;
    if (at >= this.#bits.length) {
      const grown = new Uint8Array(Math.max(this.#bits.length * 2, at + 1));
      grown.set(this.#bits);
      this.#bits = grown;
    }
    const bit = 1 << (number & 7);
    if ((this.#bits[at] & bit) !== 0) return false;
    this.#bits[at] |= bit;
    return true;
  }
}
