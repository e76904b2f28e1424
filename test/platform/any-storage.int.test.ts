import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { DamagedObjectError, InvalidKeyError, NoSuchObjectError, ObjectExistsError } from '../../platform/storage.ts';
import { isMissing, StorageGround, STORAGES } from '../storages.ts';

const sha256 = (data: Buffer | string) => createHash('sha256').update(data).digest('hex');

describe.each(STORAGES)('a storage in a %s', (kind) => {
  describe.skipIf(isMissing(kind))('of a real server', () => {
    let ground: StorageGround;
    let root: string;
    beforeAll(async () => {
      ground = await StorageGround.open(kind);
    });
    afterAll(() => ground.stop());
    beforeEach(() => {
      root = fs.mkdtempSync(path.join(os.tmpdir(), 'whence-storage-'));
      return () => fs.rmSync(root, { recursive: true, force: true });
    });

    test('gives back what was put, and says its size', async () => {
      const storage = await ground.openStorage(root);
      await storage.put('archive/day=2026-01-01/part-0.parquet', Buffer.from('rows'));
      await storage.put('nothing', Buffer.alloc(0));
      expect((await storage.get('archive/day=2026-01-01/part-0.parquet')).toString()).toBe('rows');
      expect(await storage.size('archive/day=2026-01-01/part-0.parquet')).toBe(4);
      expect((await storage.get('nothing')).length).toBe(0);
    });

    test('takes a file over, of more than one part too, and leaves nothing of it behind', async () => {
      const storage = await ground.openStorage(root);
      const file = path.join(root, 'made-by-duckdb');
      const content = Buffer.alloc(20_000_000, 'rows and ');
      fs.writeFileSync(file, content);
      await storage.putFile('a/b', file, { ifAbsent: true });
      expect(sha256(await storage.get('a/b'))).toBe(sha256(content));
      expect(fs.existsSync(file)).toBe(false);
      fs.writeFileSync(file, content);
      await expect(storage.putFile('a/b', file, { ifAbsent: true })).rejects.toThrow(ObjectExistsError);
    });

    test('lists by prefix in order, across folders, more than a page of them', async () => {
      const storage = await ground.openStorage(root);
      for (const key of ['b/2', 'b/10/x', 'b/1', 'c', 'bb']) await storage.put(key, Buffer.from(key));
      expect(await storage.list('')).toEqual(['b/1', 'b/10/x', 'b/2', 'bb', 'c']);
      expect(await storage.list('b/1')).toEqual(['b/1', 'b/10/x']);
      expect(await storage.list('nothing/here')).toEqual([]);
      const many = Array.from({ length: 1_001 }, (_, i) => `many/${String(i).padStart(4, '0')}`);
      for (let i = 0; i < many.length; i += 50) {
        await Promise.all(many.slice(i, i + 50).map((key) => storage.put(key, Buffer.from('x'))));
      }
      expect(await storage.list('many/')).toEqual(many);
    });

    test('deletes, and does not mind when there is nothing to delete', async () => {
      const storage = await ground.openStorage(root);
      await storage.put('a/b', Buffer.from('x'));
      expect(await storage.exists('a/b')).toBe(true);
      await storage.delete('a/b');
      await storage.delete('a/b');
      expect(await storage.exists('a/b')).toBe(false);
      await expect(storage.get('a/b')).rejects.toThrow(NoSuchObjectError);
      await expect(storage.size('a/b')).rejects.toThrow(NoSuchObjectError);
    });

    test('replaces an object, except where it must be absent: then one of many writers wins', async () => {
      const storage = await ground.openStorage(root);
      await storage.put('a', Buffer.from('one'));
      await storage.put('a', Buffer.from('two'));
      expect((await storage.get('a')).toString()).toBe('two');
      await expect(storage.put('a', Buffer.from('three'), { ifAbsent: true })).rejects.toThrow(ObjectExistsError);
      const outcomes = await Promise.allSettled(
        ['x', 'y', 'z'].map((text) => storage.put('once', Buffer.from(text), { ifAbsent: true })),
      );
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    });

    test.each(['', '/a', 'a/', 'a//b', '../a', 'a/../b', '.a', 'a/.b', 'a b', 'a\\b', 'ä', 'a\0'])(
      'refuses the key %j',
      async (key) => {
        const storage = await ground.openStorage(root);
        await expect(storage.put(key, Buffer.from('x'))).rejects.toThrow(InvalidKeyError);
        await expect(storage.get(key)).rejects.toThrow(InvalidKeyError);
      },
    );

    test('lends objects as files of this machine', async () => {
      const storage = await ground.openStorage(root);
      for (const key of ['a.txt', 'b.txt']) await storage.put(key, Buffer.from(key));
      const lease = storage.lend();
      const [b, a] = await lease.take([{ key: 'b.txt', sha256: sha256('b.txt') }, { key: 'a.txt' }]);
      expect([a, b].map((file) => fs.readFileSync(file, 'utf8'))).toEqual(['a.txt', 'b.txt']);
      await lease.end();
    });
  });
});

describe.skipIf(isMissing('bucket'))('a bucket', () => {
  let ground: StorageGround;
  let root: string;
  beforeAll(async () => {
    ground = await StorageGround.open('bucket');
    root = fs.mkdtempSync(path.join(os.tmpdir(), 'whence-storage-'));
  });
  afterAll(async () => {
    await ground.stop();
    fs.rmSync(root, { recursive: true, force: true });
  });
  const cached = (folder: string) =>
    fs.readdirSync(path.join(root, folder, 'data', 'cache')).filter((name) => name.length === 64);

  test('is one for many machines, and what is under its prefix is alone there', async () => {
    const env = await ground.env();
    const [here, there] = [
      await ground.openStorage(path.join(root, 'a'), env),
      await ground.openStorage(path.join(root, 'b'), env),
    ];
    await here.put('x/y', Buffer.from('1'));
    expect((await there.get('x/y')).toString()).toBe('1');
    const other = await ground.openStorage(path.join(root, 'c'), {
      ...env,
      WHENCE_STORAGE: `${env['WHENCE_STORAGE']}/else`,
    });
    expect(await other.list('')).toEqual([]);
    expect(here.locate('x/y')).toBe(`${env['WHENCE_STORAGE']}/x/y`);
  });

  test('fetches what is lent once, keeps it within its bounds, and takes nothing away that is still lent', async () => {
    const env = { ...(await ground.env()), WHENCE_CACHE_SIZE: '0.002MB' };
    const storage = await ground.openStorage(path.join(root, 'bounded'), env);
    const bodies = ['a', 'b', 'c'].map((text) => text.repeat(1_500));
    for (const [i, body] of bodies.entries()) await storage.put(`k${i}`, Buffer.from(body));
    const lease = storage.lend();
    const paths: string[] = [];
    for (const [i, body] of bodies.entries()) {
      paths.push(...(await lease.take([{ key: `k${i}`, sha256: sha256(body) }])));
      // By a clock that is ahead of the one that stamps new files.
      const soon = new Date(Date.now() + 1_000);
      fs.utimesSync(paths[i], soon, soon);
    }
    expect(cached('bounded')).toEqual([sha256(bodies[2])]);
    expect(paths.map((file) => fs.readFileSync(file, 'utf8'))).toEqual(bodies);
    await storage.delete('k2');
    const again = storage.lend();
    expect(fs.readFileSync((await again.take([{ key: 'k2', sha256: sha256(bodies[2]) }]))[0], 'utf8')).toBe(bodies[2]);
    await expect(storage.lend().take([{ key: 'k2' }])).rejects.toThrow(NoSuchObjectError);
    await Promise.all([lease.end(), again.end()]);
    expect(paths.some((file) => fs.existsSync(file))).toBe(false);
  });

  test('an object that is not what was published is not lent, and is not kept', async () => {
    const storage = await ground.openStorage(path.join(root, 'damaged'));
    await storage.put('k', Buffer.from('something else'));
    const lease = storage.lend();
    await expect(lease.take([{ key: 'k', sha256: sha256('rows') }])).rejects.toThrow(DamagedObjectError);
    await lease.end();
    expect(cached('damaged')).toEqual([]);
  });

  test('that is not there is an error that says what to do', async () => {
    const env = { ...(await ground.env()), WHENCE_STORAGE: 's3://no-such-bucket' };
    await expect(ground.openStorage(path.join(root, 'none'), env)).rejects.toThrow(
      /The bucket no-such-bucket at http.* cannot be used \(NoSuchBucket.*create it, or correct WHENCE_STORAGE/,
    );
  });
});
