import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { playId } from '../../attribution/play-id.ts';
import { BASE } from './samples.ts';

const NAMESPACE = '6f1d1c2a-b0c4-4b0d-9a5e-3f7f6a2d9c11';
const id = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((text) => !text.includes('\0'));
const time = fc.nat({ max: 8.64e15 });

/** RFC 9562, 5.5, by arithmetic on one big number. */
function uuid5(namespace: string, name: string): string {
  const bytes = Buffer.concat([Buffer.from(namespace.replaceAll('-', ''), 'hex'), Buffer.from(name, 'utf8')]);
  const hash = BigInt(`0x${createHash('sha1').update(bytes).digest('hex')}`) >> 32n;
  const versioned = (hash & ~(0xfn << 76n)) | (5n << 76n);
  const varied = (versioned & ~(3n << 62n)) | (2n << 62n);
  return varied
    .toString(16)
    .padStart(32, '0')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

test('a play id is what uuid5 of another language gives', () => {
  // >>> uuid.uuid5(uuid.UUID('6f1d1c2a-b0c4-4b0d-9a5e-3f7f6a2d9c11'), 'p1\0series-1\x001764000000000')
  expect(playId('p1', 'series-1', BASE)).toBe('32c89777-5440-5838-a8d2-9c8348f765a5');
  expect(playId('p～', 'œuvre', 0)).toBe('0889bc7d-2c11-523d-9f40-7cb63d670c6f');
});

test('a play id is a UUID of version 5 over profile, work and start', () => {
  fc.assert(
    fc.property(id, id, time, (profileId, workId, startedAt) => {
      const given = playId(profileId, workId, startedAt);
      expect(given).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(given).toBe(uuid5(NAMESPACE, `${profileId}\0${workId}\0${startedAt}`));
    }),
  );
});

test('plays of other profiles, works or starts have other ids', () => {
  const play = fc.tuple(
    fc.constantFrom('p', 'p1', 'p11'),
    fc.constantFrom('1', '11', 'w'),
    fc.constantFrom(1, 11, 111),
  );
  fc.assert(
    fc.property(play, play, (one, other) => {
      expect(playId(...one) === playId(...other)).toBe(one.join('\0') === other.join('\0'));
    }),
  );
});
