import { z } from 'zod';
import { COLUMNS, type Example } from './schema.ts';

const numbersSchema = z.strictObject({
  nulls: z.int(),
  /** null where there is no value. */
  min: z.number().nullable(),
  max: z.number().nullable(),
  sum: z.number(),
});
const textsSchema = z.strictObject({
  nulls: z.int(),
  /** By code unit: how many examples have a text, and how many of these are positive. */
  values: z.array(z.strictObject({ text: z.string(), examples: z.int(), positives: z.int() })),
});

/** What the columns hold, by their names; of ids nothing. Of a yes or no, yes is 1. */
export const statisticsSchema = z.strictObject({
  numbers: z.record(z.string(), numbersSchema),
  categories: z.record(z.string(), textsSchema),
});
export type Statistics = z.output<typeof statisticsSchema>;

const CATEGORIES = COLUMNS.filter(({ type }) => type === 'category').map(({ name }) => name);
const NUMBERS = COLUMNS.filter(({ role, type }) => role !== 'id' && type !== 'category').map(({ name }) => name);

/** Adds up what examples, or files of them, hold. The same in the same order gives the same. */
export class StatisticsSum {
  readonly #numbers = NUMBERS.map(() => ({ nulls: 0, min: Infinity, max: -Infinity, sum: 0 }));
  readonly #texts = CATEGORIES.map(() => ({
    nulls: 0,
    values: new Map<string, { examples: number; positives: number }>(),
  }));

  add(example: Example): void {
    for (let i = 0; i < NUMBERS.length; i++) {
      const value = example[NUMBERS[i]];
      if (value === null) this.#numbers[i].nulls++;
      else this.#addNumbers(i, { min: Number(value), max: Number(value), sum: Number(value) });
    }
    for (let i = 0; i < CATEGORIES.length; i++) {
      const value = example[CATEGORIES[i]];
      if (value === null) this.#texts[i].nulls++;
      else this.#addText(i, String(value), 1, example.label);
    }
  }

  merge({ numbers, categories }: Statistics): void {
    for (let i = 0; i < NUMBERS.length; i++) {
      const { nulls, min, max, sum } = numbers[NUMBERS[i]];
      this.#numbers[i].nulls += nulls;
      this.#addNumbers(i, { min: min ?? Infinity, max: max ?? -Infinity, sum });
    }
    for (let i = 0; i < CATEGORIES.length; i++) {
      const { nulls, values } = categories[CATEGORIES[i]];
      this.#texts[i].nulls += nulls;
      for (const { text, examples, positives } of values) this.#addText(i, text, examples, positives);
    }
  }

  result(): Statistics {
    const numbers = this.#numbers.map(({ nulls, min, max, sum }, i) => {
      const isEmpty = min > max;
      return [NUMBERS[i], { nulls, min: isEmpty ? null : min, max: isEmpty ? null : max, sum }] as const;
    });
    const categories = this.#texts.map(({ nulls, values }, i) => {
      const ordered = [...values].sort(([a], [b]) => (a < b ? -1 : 1)).map(([text, counts]) => ({ text, ...counts }));
      return [CATEGORIES[i], { nulls, values: ordered }] as const;
    });
    return { numbers: Object.fromEntries(numbers), categories: Object.fromEntries(categories) };
  }

  #addNumbers(column: number, { min, max, sum }: { min: number; max: number; sum: number }): void {
    const found = this.#numbers[column];
    found.min = Math.min(found.min, min);
    found.max = Math.max(found.max, max);
    found.sum += sum;
  }

  #addText(column: number, text: string, examples: number, positives: number): void {
    const { values } = this.#texts[column];
    const found = values.get(text);
    if (found === undefined) values.set(text, { examples, positives });
    else {
      found.examples += examples;
      found.positives += positives;
    }
  }
}
