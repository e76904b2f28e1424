/** The days of one attempt, and how far each is. */
export class Stretch {
  readonly days: readonly string[];
  readonly units: number;
  readonly queue: readonly { day: string; unit: number }[];
  readonly failed = new Map<string, string>();
  readonly #left: Map<string, number>;
  readonly #ahead: number;
  /** Days that were committed or failed. */
  passed = 0;
  /** Another commit came first: what is computed is of no use. */
  lost = false;

  constructor(
    days: readonly string[],
    work: { dirty: number[]; days: { day: string; units: number[] }[] },
    ahead: number,
  ) {
    this.days = days;
    this.#ahead = ahead;
    const unitsOf = new Map(work.days.map(({ day, units }) => [day, units]));
    this.queue = days.flatMap((day) => (unitsOf.get(day) ?? []).map((unit) => ({ day, unit })));
    this.#left = new Map(work.days.map(({ day, units }) => [day, units.length]));
    this.units = work.dirty.length + this.queue.length;
  }

  mayCompute(day: string): boolean {
    return this.lost || this.days.indexOf(day) < this.passed + this.#ahead;
  }

  computed(day: string): void {
    this.#left.set(day, (this.#left.get(day) ?? 0) - 1);
  }

  isSettled(day: string): boolean {
    return this.failed.has(day) || this.#left.get(day) === 0;
  }
}
