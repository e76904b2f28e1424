/**
 * Strings as small integers, counted by use: when the last user of a string has released it, its integer is free for
 * another. What is interned per profile or per work would otherwise grow for as long as the process lives.
 */
export class Interner {
  readonly #numbers = new Map<string, number>();
  readonly #texts: (string | null)[] = [];
  #uses = new Int32Array(64);
  readonly #free: number[] = [];
  readonly #onNew: (number: number, text: string) => void;

  /** @param onNew told of every number that comes to stand for a string */
  constructor(onNew: (number: number, text: string) => void = () => {}) {
    this.#onNew = onNew;
  }

  /** The integer of a string that is in use, or -1. */
  find(text: string): number {
    return this.#numbers.get(text) ?? -1;
  }

  /** The integer of a string, with one more use. */
  acquire(text: string): number {
    let number = this.#numbers.get(text);
    if (number === undefined) {
      number = this.#free.pop() ?? this.#texts.length;
      this.#numbers.set(text, number);
      this.#texts[number] = text;
      if (number >= this.#uses.length) this.#growUses();
      this.#uses[number] = 0;
      this.#onNew(number, text);
    }
    this.#uses[number]++;
    return number;
  }

  release(number: number): void {
    if (--this.#uses[number] > 0) return;
    this.#numbers.delete(this.text(number));
    this.#texts[number] = null;
    this.#free.push(number);
  }

  text(number: number): string {
    const text = this.#texts[number];
    if (typeof text !== 'string') throw new RangeError(`No string has the number ${number}`);
    return text;
  }

  get size(): number {
    return this.#numbers.size;
  }

  /** The strings and uses of all numbers, as they are now; null where a number is free. */
  entries(): { texts: (string | null)[]; uses: Int32Array } {
    return { texts: this.#texts.slice(), uses: this.#uses.slice(0, this.#texts.length) };
  }

  /** Gives a string the number that it had elsewhere, with this many more uses. `restored` must follow. */
  restore(number: number, text: string, uses: number): void {
    while (this.#texts.length <= number) this.#texts.push(null);
    while (number >= this.#uses.length) this.#growUses();
    if (this.#texts[number] === null) {
      this.#texts[number] = text;
      this.#numbers.set(text, number);
      this.#onNew(number, text);
    }
    this.#uses[number] += uses;
  }

  /** All that was in use has been restored: the other numbers are free. */
  restored(): void {
    for (let number = this.#texts.length - 1; number >= 0; number--) {
      if (this.#texts[number] === null) this.#free.push(number);
    }
  }

  /** One more use of a number that stands for a string. */
  use(number: number): void {
    this.#uses[number]++;
  }

  #growUses(): void {
    const grown = new Int32Array(this.#uses.length * 2);
    grown.set(this.#uses);
    this.#uses = grown;
  }
}
