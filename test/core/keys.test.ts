import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KeyTable } from '../../attribution/facts/keys.ts';
import { runs } from './runs.ts';

/** What a key table must be: the number of each (profile, work), and what the table's user wrote of it. */
interface Entry {
  number: number;
  profile: number;
  work: number;
  mark: number;
}
class Model {
  readonly entries = new Map<string, Entry>();
  readonly numbers = new Set<number>();
  marks = 0;
  most = 0;
}

const nameOf = (profile: number, work: number) => `${profile} ${work}`;

function expectFree(table: KeyTable, { numbers }: Model, number: number): void {
  expect(numbers.has(number)).toBe(false);
  expect([table.headOf(number), table.hasPlayback(number), table.usesOf(number)]).toEqual([-1, false, 0]);
}

class Add implements fc.Command<Model, KeyTable> {
  constructor(
    readonly profile: number,
    readonly work: number,
  ) {}
  check({ entries }: Readonly<Model>): boolean {
    return !entries.has(nameOf(this.profile, this.work));
  }
  run(model: Model, table: KeyTable): void {
    const number = table.add(this.profile, this.work);
    expectFree(table, model, number);
    // Free numbers are given again, so no number is greater than there were keys at once.
    model.numbers.add(number);
    model.most = Math.max(model.most, model.numbers.size);
    expect(number).toBeLessThan(model.most);
    const mark = ++model.marks;
    table.setHead(number, mark);
    for (let uses = -1; uses < mark % 5; uses++) table.use(number);
    table.release(number);
    if (mark % 2 === 1) table.markPlayback(number);
    model.entries.set(nameOf(this.profile, this.work), { number, profile: this.profile, work: this.work, mark });
  }
  toString(): string {
    return `add(${this.profile}, ${this.work})`;
  }
}

class Remove implements fc.Command<Model, KeyTable> {
  constructor(readonly pick: number) {}
  check({ entries }: Readonly<Model>): boolean {
    return entries.size > 0;
  }
  run({ entries, numbers }: Model, table: KeyTable): void {
    const [name, entry] = [...entries][this.pick % entries.size];
    table.remove(entry.number);
    entries.delete(name);
    numbers.delete(entry.number);
    expect(table.find(entry.profile, entry.work)).toBe(-1);
    expect(table.usesOf(entry.number)).toBeLessThan(0);
  }
  toString(): string {
    return `remove(${this.pick})`;
  }
}

class LookAtAll implements fc.Command<Model, KeyTable> {
  check(): boolean {
    return true;
  }
  run({ entries }: Model, table: KeyTable): void {
    expect(table.size).toBe(entries.size);
    const held = [...entries.values()].map(({ profile, work }) => {
      const number = table.find(profile, work);
      const named = {
        number,
        profile: table.profileOf(number),
        work: table.workOf(number),
        mark: table.headOf(number),
      };
      return { ...named, uses: table.usesOf(number), hasPlayback: table.hasPlayback(number) };
    });
    const expected = [...entries.values()].map((entry) => ({
      ...entry,
      uses: entry.mark % 5,
      hasPlayback: entry.mark % 2 === 1,
    }));
    expect(held).toEqual(expected);
  }
  toString(): string {
    return 'lookAtAll()';
  }
}

class LookFor implements fc.Command<Model, KeyTable> {
  constructor(
    readonly profile: number,
    readonly work: number,
  ) {}
  check(): boolean {
    return true;
  }
  run({ entries }: Model, table: KeyTable): void {
    expect(table.find(this.profile, this.work)).toBe(entries.get(nameOf(this.profile, this.work))?.number ?? -1);
  }
  toString(): string {
    return `lookFor(${this.profile}, ${this.work})`;
  }
}

/** A table that holds so many keys. */
function begin(count: number): { model: Model; real: KeyTable } {
  const begun = { model: new Model(), real: new KeyTable() };
  for (let i = 0; i < count; i++) {
    new Add(i % 16, (i * 5 + Math.floor(i / 16)) % 16).run(begun.model, begun.real);
  }
  return begun;
}

describe('a key table is a map of the keys in use, whatever is done to it', () => {
  // Some 90 of 128 slots in use: probe sequences run into each other and over the end of the table.
  test.each([
    ['sparse', 0, 200],
    ['clustered', 88, 120],
    ['about to grow', 95, 60],
    ['grown', 200, 80],
  ])('%s', (_, begun, maxCommands) => {
    const profile = fc.nat({ max: 15 });
    const work = fc.nat({ max: 15 });
    const commands = [
      fc.tuple(profile, work).map(([p, w]) => new Add(p, w)),
      fc.nat().map((pick) => new Remove(pick)),
      fc.tuple(profile, work).map(([p, w]) => new LookFor(p, w)),
      fc.constant(new LookAtAll()),
    ];
    fc.assert(
      fc.property(fc.commands(commands, { maxCommands, size: 'max' }), (drawn) => {
        fc.modelRun(() => begin(begun), drawn);
      }),
      { numRuns: runs(40) },
    );
  });
});

test('a key table keeps many keys apart, and gives their numbers again', () => {
  const table = new KeyTable();
  const numbers = new Set<number>();
  for (let i = 0; i < 20_000; i++) {
    const number = table.add(i % 500, Math.floor(i / 500));
    table.setHead(number, i);
    numbers.add(number);
  }
  expect(table.size).toBe(20_000);
  expect(numbers.size).toBe(20_000);
  expect(Math.max(...numbers)).toBe(19_999);
  const heads = Array.from(numbers, (_, i) => table.headOf(table.find(i % 500, Math.floor(i / 500))));
  expect(heads).toEqual(Array.from(numbers, (_, i) => i));
  for (let i = 0; i < 20_000; i++) table.remove(table.find(i % 500, Math.floor(i / 500)));
  expect(table.size).toBe(0);
  for (let i = 0; i < 20_000; i++) numbers.delete(table.add(i, i));
  expect(numbers.size).toBe(0);
});
