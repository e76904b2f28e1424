import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteReader, ByteWriter } from '../../attribution/facts/bytes.ts';
import { Entries } from '../../attribution/facts/entries.ts';
import { Texts } from '../../attribution/facts/texts.ts';
import { Random } from '../../simulator/random.ts';
import { runs } from './runs.ts';

function written(text: string): Uint8Array {
  const writer = new ByteWriter();
  writer.text(text);
  return writer.bytes.subarray(0, writer.length);
}

test('texts are read as they were added, whatever was removed in between', () => {
  const step = fc.record({
    text: fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 30 }),
      fc.uuid(),
      fc.nat({ max: 20_000 }).map((n) => 'x'.repeat(n)),
    ),
    remove: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150, size: 'max' }), (steps) => {
      const texts = new Texts();
      const held: { place: number; text: string; length: number }[] = [];
      const reader = new ByteReader();
      for (const { text, remove } of steps) {
        const bytes = written(text);
        held.push({ place: texts.add(bytes, 0, bytes.length), text, length: bytes.length });
        if (remove % 3 === 0) {
          const [gone] = held.splice(remove % held.length, 1);
          texts.remove(gone.place, gone.length);
        }
      }
      for (const { place, text } of held) expect(texts.open(reader, place).text()).toBe(text);
    }),
    { numRuns: runs(100) },
  );
});

test('texts that come and go take no more room than there was of them at once', () => {
  const texts = new Texts();
  const bytes = Array.from({ length: 500 }, (_, i) => written('y'.repeat(1 + ((i * 7) % 300))));
  const round = () => {
    const places = bytes.map((each) => texts.add(each, 0, each.length));
    bytes.forEach((each, i) => texts.remove(places[i], each.length));
  };
  round();
  const { footprint } = texts;
  for (let i = 0; i < 20; i++) round();
  expect(texts.footprint).toBe(footprint);
});

test('a few long texts among many short ones, replaced over and over, take little more than there is', () => {
  const texts = new Texts();
  const random = new Random(7, 'texts');
  const held: { place: number; length: number }[] = [];
  const add = () => {
    const bytes = written('x'.repeat(random.chance(0.02) ? 1_000 + random.below(3_000) : 30));
    held.push({ place: texts.add(bytes, 0, bytes.length), length: bytes.length });
  };
  for (let i = 0; i < 10_000; i++) add();
  for (let i = 0; i < 200_000; i++) {
    const at = random.below(held.length);
    const gone = held[at];
    held[at] = held[held.length - 1];
    held.pop();
    texts.remove(gone.place, gone.length);
    add();
  }
  const live = held.reduce((sum, { length }) => sum + length, 0);
  expect(texts.footprint).toBeLessThan(2 * live);
});

test('entries keep what is set, those of no use as they began', () => {
  const entries = new Entries(2, -1);
  const numbers = [0, 1, 4_095, 4_096, 12_345];
  entries.reach(12_345);
  for (const number of numbers) for (let which = 0; which < 4; which++) entries.set(number, which, number * 4 + which);
  for (const number of numbers) {
    expect([0, 1, 2, 3].map((which) => entries.get(number, which))).toEqual([0, 1, 2, 3].map((w) => number * 4 + w));
  }
  expect(entries.get(4_097, 0)).toBe(-1);
});
