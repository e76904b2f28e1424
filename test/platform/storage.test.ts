import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { beforeEach, describe, expect, test } from 'vitest';
import { ObjectExistsError, openLocalStorage } from '../../platform/storage.ts';

let root: string;
beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'whence-storage-'));
  return () => fs.rmSync(root, { recursive: true, force: true });
});

describe('local storage', () => {
  test('gives back what was put, and says its size', async () => {
    const storage = await openLocalStorage(root);
    await storage.put('archive/day=2026-01-01/part-0.parquet', Buffer.from('rows'));
    expect((await storage.get('archive/day=2026-01-01/part-0.parquet')).toString()).toBe('rows');
    expect(await storage.size('archive/day=2026-01-01/part-0.parquet')).toBe(4);
    expect(fs.readFileSync(storage.locate('archive/day=2026-01-01/part-0.parquet'), 'utf8')).toBe('rows');
  });

  test('takes a file over, and leaves nothing of it behind', async () => {
    const storage = await openLocalStorage(path.join(root, 'storage'));
    const file = path.join(root, 'made-by-duckdb');
    fs.writeFileSync(file, 'rows');
    await storage.putFile('a/b', file);
    expect((await storage.get('a/b')).toString()).toBe('rows');
    expect(fs.existsSync(file)).toBe(false);
  });

  test('lists by prefix in order, across folders, without what is still being written', async () => {
    const storage = await openLocalStorage(root);
    for (const key of ['b/2', 'b/10/x', 'b/1', 'c', 'bb']) await storage.put(key, Buffer.from(key));
    fs.writeFileSync(path.join(root, '.incoming', 'half'), 'hal');
    expect(await storage.list('')).toEqual(['b/1', 'b/10/x', 'b/2', 'bb', 'c']);
    expect(await storage.list('b/1')).toEqual(['b/1', 'b/10/x']);
    expect(await storage.list('nothing/here')).toEqual([]);
  });

  test('replaces an object, except where it must be absent: then one of many writers wins', async () => {
    const storage = await openLocalStorage(root);
    await storage.put('a', Buffer.from('one'));
    await storage.put('a', Buffer.from('two'));
    expect((await storage.get('a')).toString()).toBe('two');
    await expect(storage.put('a', Buffer.from('three'), { ifAbsent: true })).rejects.toThrow(ObjectExistsError);
    const outcomes = await Promise.allSettled(
      ['x', 'y', 'z'].map((text) => storage.put('once', Buffer.from(text), { ifAbsent: true })),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(fs.readdirSync(path.join(root, '.incoming'))).toEqual([]);
  });

  test('shows a reader an object whole or not at all, while it is replaced again and again', async () => {
    const storage = await openLocalStorage(root);
    const size = 300_000;
    await storage.put('a', Buffer.alloc(size, 'a'));
    // Reads from another thread, so that reads fall inside writes.
    const reader = new Worker(
      `const fs = require('node:fs');
       const { workerData: file, parentPort } = require('node:worker_threads');
       let torn = 0;
       for (let i = 0; i < 300; i++) {
         const data = fs.readFileSync(file);
         if (data.length !== ${size} || data[0] !== data[data.length - 1]) torn++;
       }
       parentPort.postMessage(torn);`,
      { eval: true, workerData: storage.locate('a') },
    );
    const torn: number[] = [];
    reader.on('message', (count: number) => torn.push(count));
    for (let i = 0; torn.length === 0; i++) await storage.put('a', Buffer.alloc(size, i % 2 === 0 ? 'b' : 'c'));
    expect(torn).toEqual([0]);
  });

  test('removes what a killed writer left, but not what may still be written', async () => {
    await openLocalStorage(root);
    const old = path.join(root, '.incoming', 'old');
    const young = path.join(root, '.incoming', 'young');
    for (const file of [old, young]) fs.writeFileSync(file, 'x');
    fs.utimesSync(old, new Date(0), new Date(0));
    await openLocalStorage(root);
    expect([fs.existsSync(old), fs.existsSync(young)]).toEqual([false, true]);
  });
});
