import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteReader, ByteWriter } from '../../attribution/facts/bytes.ts';
import { Interner } from '../../attribution/facts/interner.ts';
import { runs } from './runs.ts';

/** What an interner must be: how often each string is in use, and its number. */
class Model {
  readonly uses = new Map<string, { number: number; uses: number }>();
  /** Every number that ever came to stand for a string. */
  readonly news: [number, string][] = [];
  greatest = -1;
}

class Real {
  readonly news: [number, string][] = [];
  readonly interner = new Interner((number, text) => this.news.push([number, text]));
}

class Acquire implements fc.Command<Model, Real> {
  constructor(readonly text: string) {}
  check(): boolean {
    return true;
  }
  run(model: Model, { interner, news }: Real): void {
    const before = model.uses.get(this.text);
    const number = interner.acquire(this.text);
    if (before) {
      expect(number).toBe(before.number);
      before.uses++;
    } else {
      // Free numbers are given again before a new one.
      expect([...model.uses.values()].some((other) => other.number === number)).toBe(false);
      if (number > model.greatest) expect(number).toBe(model.uses.size);
      model.greatest = Math.max(model.greatest, number);
      model.uses.set(this.text, { number, uses: 1 });
      model.news.push([number, this.text]);
    }
    expect(news).toEqual(model.news);
  }
  toString(): string {
    return `acquire(${JSON.stringify(this.text)})`;
  }
}

class Release implements fc.Command<Model, Real> {
  constructor(readonly text: string) {}
  check(model: Readonly<Model>): boolean {
    return model.uses.has(this.text);
  }
  run(model: Model, { interner }: Real): void {
    const held = model.uses.get(this.text);
    if (!held) return;
    interner.release(held.number);
    if (--held.uses > 0) return;
    model.uses.delete(this.text);
    expect(() => interner.text(held.number)).toThrow(RangeError);
  }
  toString(): string {
    return `release(${JSON.stringify(this.text)})`;
  }
}

class Look implements fc.Command<Model, Real> {
  constructor(readonly text: string) {}
  check(): boolean {
    return true;
  }
  run(model: Model, { interner }: Real): void {
    expect(interner.find(this.text)).toBe(model.uses.get(this.text)?.number ?? -1);
    expect(interner.size).toBe(model.uses.size);
    for (const [text, { number }] of model.uses) expect(interner.text(number)).toBe(text);
  }
  toString(): string {
    return `look(${JSON.stringify(this.text)})`;
  }
}

test('an interner is a map of the strings in use, whatever is done to it', () => {
  const text = fc.oneof(fc.constantFrom('', 'a', 'b', 'c', '__proto__', 'size'), fc.string({ maxLength: 2 }));
  const commands = [
    text.map((drawn) => new Acquire(drawn)),
    text.map((drawn) => new Release(drawn)),
    text.map((drawn) => new Look(drawn)),
  ];
  fc.assert(
    fc.property(fc.commands(commands, { maxCommands: 200, size: 'max' }), (drawn) => {
      fc.modelRun(() => ({ model: new Model(), real: new Real() }), drawn);
    }),
    { numRuns: runs(200) },
  );
});

describe('an interner', () => {
  test('holds many strings, and counts their uses', () => {
    const interner = new Interner();
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 1_000; i++) expect(interner.acquire(`text ${i}`)).toBe(i);
    }
    for (let round = 0; round < 3; round++) {
      expect(interner.size).toBe(1_000);
      for (let i = 0; i < 1_000; i++) expect(interner.text(i)).toBe(`text ${i}`);
      for (let i = 0; i < 1_000; i++) interner.release(i);
    }
    expect(interner.size).toBe(0);
    expect(interner.find('text 7')).toBe(-1);
    const again = Array.from({ length: 1_000 }, (_, i) => interner.acquire(`other ${i}`));
    expect(again.sort((a, b) => a - b)).toEqual(Array.from({ length: 1_000 }, (_, i) => i));
  });

  test('counts a string that comes back from its first use on', () => {
    const interner = new Interner();
    const number = interner.acquire('a');
    interner.acquire('a');
    interner.release(number);
    interner.release(number);
    expect(interner.acquire('b')).toBe(number);
    interner.release(number);
    expect(interner.size).toBe(0);
  });

  test('finds long strings again, whoever named them', () => {
    const long = (i: number) => 'ü'.repeat(340 + i * 300) + i;
    const interner = new Interner();
    expect([0, 1, 2].map((i) => interner.acquire(long(i)))).toEqual([0, 1, 2]);
    expect([0, 1, 2].map((i) => interner.acquire(long(i)))).toEqual([0, 1, 2]);
    const restored = new Interner();
    for (const i of [2, 1, 0]) {
      const writer = new ByteWriter();
      interner.write(i, writer);
      restored.restore(i, new ByteReader().open(writer.bytes, 0));
    }
    restored.restored();
    expect([0, 1, 2].map((i) => restored.acquire(long(i)))).toEqual([0, 1, 2]);
    expect(restored.size).toBe(3);
  });

  test('names the number that stands for nothing', () => {
    expect(() => new Interner().text(3)).toThrow(new RangeError('No string has the number 3'));
  });
});
