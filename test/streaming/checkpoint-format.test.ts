import { createHash } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { BadCheckpointError, seal, unseal, UnusableCheckpointError } from '../../streaming/checkpoint-format.ts';

const BODY = Buffer.from('{"some":"head"}'.repeat(100));

/** An object as version 1 wrote it. */
function sealedBefore(content: Buffer): Buffer {
  const body = deflateRawSync(content);
  const prefix = Buffer.alloc(8);
  prefix.write('WHCP');
  prefix.writeUInt32LE(1, 4);
  return Buffer.concat([prefix, createHash('sha256').update(body).digest(), body]);
}

test('an object is read as it was sealed, and is smaller', async () => {
  const { object, sha256 } = seal([BODY.subarray(0, 10), BODY.subarray(10)]);
  expect(object.length).toBeLessThan(BODY.length / 2);
  expect((await unseal('k', object)).body).toEqual(BODY);
  expect((await unseal('k', object, sha256)).body).toEqual(BODY);
});

test('an object of version 1 is still read', async () => {
  expect((await unseal('k', sealedBefore(BODY))).body).toEqual(BODY);
});

test('any byte that is altered is noticed, and another object in its place', async () => {
  const { object } = seal([BODY]);
  for (const at of [0, 8, 39, 40, object.length - 1]) {
    const altered = Buffer.from(object);
    altered[at] ^= 1;
    await expect(unseal('k', altered)).rejects.toThrow(BadCheckpointError);
  }
  await expect(unseal('k', object.subarray(0, 39))).rejects.toThrow('k is no checkpoint (39 bytes)');
  await expect(unseal('k', object, seal([Buffer.from('else')]).sha256)).rejects.toThrow(BadCheckpointError);
});

test('a version that is not known is said, with those that are', async () => {
  const { object } = seal([BODY]);
  object.writeUInt32LE(7, 4);
  await expect(unseal('k', object)).rejects.toThrow(
    new UnusableCheckpointError('k is of format version 7; this program reads 1, 2, 3, 4, 5'),
  );
});
