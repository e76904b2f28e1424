import { expect, test } from 'vitest';
import { xxh32 } from '../../attribution/facts/xxh32.ts';

// Made by the reference implementation (`xxhsum -H32`).
test.each([
  ['', 0x02cc5d05],
  ['a', 0x550d7456],
  ['abc', 0x32d153ff],
  ['Nobody inspects the spammish repetition', 0xe2293b2f],
  [String.fromCharCode(...Array(100).keys()), 0x7f89ba44],
])('the hash of %j', (text, expected) => {
  const bytes = Buffer.from(text, 'latin1');
  for (const before of [0, 1, 3]) {
    const all = new Uint8Array([...Array<number>(before).fill(0xff), ...bytes, 0xff]);
    expect(xxh32(new DataView(all.buffer), before, before + bytes.length)).toBe(expected);
  }
});
