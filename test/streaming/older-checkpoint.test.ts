import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { deflateRawSync } from 'node:zlib';
import { decompress } from 'zstd-napi';
import { describe, expect, test } from 'vitest';
import type { FactStore } from '../../attribution/facts/fact-store.ts';
import { defaultPolicy } from '../../attribution/policy.ts';
import { BadCheckpointError, type CheckpointHead } from '../../streaming/checkpoint-format.ts';
import { restoreCheckpoint } from '../../streaming/checkpoint-load.ts';
import { storeCheckpoint, type Written } from '../../streaming/checkpoint-write.ts';
import { TaskState, type Delta } from '../../streaming/task-state.ts';
import { memoryStorage } from './memory-storage.ts';
import { CUT_AT, olderLog, TOPICS } from './older-log.ts';

/** What programs of then wrote: its head's key, and all objects in base64. The log is `olderLog`, up to `CUT_AT`. */
const SAVED = { 3: saved('checkpoint-3.json'), 4: saved('checkpoint-4.json') };
const POLICY = 'of then';
const BODY_AT = 40;

function saved(name: string) {
  const text = fs.readFileSync(new URL(name, import.meta.url), 'utf8');
  return JSON.parse(text) as { head: string; objects: Record<string, string> };
}

function headOf(version: number): string {
  return SAVED[version === 4 ? 4 : 3].head;
}

/** What a version wrote; 1 and 2 wrote the same as 3, with other checksums and, 1, another compression. */
function asVersion(version: number): Map<string, Buffer> {
  const written = SAVED[version === 4 ? 4 : 3];
  const objects = new Map(Object.entries(written.objects).map(([key, text]) => [key, Buffer.from(text, 'base64')]));
  if (version > 1) {
    for (const object of objects.values()) object.writeUInt32LE(version, 4);
    return objects;
  }
  const seal = (content: Buffer) => {
    const body = deflateRawSync(content);
    const prefix = Buffer.from('WHCP\x01\0\0\0', 'latin1');
    return Buffer.concat([prefix, createHash('sha256').update(body).digest(), body]);
  };
  const contentOf = (key: string) => decompress((objects.get(key) ?? Buffer.alloc(0)).subarray(BODY_AT));
  const head = JSON.parse(contentOf(headOf(version)).toString()) as CheckpointHead;
  for (const segment of head.chunks.flatMap((chunk) => chunk.segments)) {
    const object = seal(contentOf(segment.key));
    segment.sha256 = object.subarray(8, BODY_AT).toString('hex');
    objects.set(segment.key, object);
  }
  objects.set(headOf(version), seal(Buffer.from(JSON.stringify(head))));
  return objects;
}

function placeOf(objects: Map<string, Buffer>, epoch: number) {
  return { storage: memoryStorage(objects).storage, prefix: 'c/', epoch, policy: POLICY };
}

const wanted = { topics: TOPICS, policy: defaultPolicy, earliest: [0, 0], committed: [Infinity, Infinity] };

/** Reads a part of the log, and what has changed then. */
function readOn(state: TaskState, from: number, to?: number): Delta {
  for (const { topic, record } of olderLog().slice(from, to)) state.read(topic, record, false);
  return state.takeDelta([false, false]);
}

/** All but how many copies differed from what counts, which is forgotten with checksums. */
function withoutConflicts({ ledger, ...rest }: Delta) {
  return { ...rest, ledger: ledger.map((row) => ({ ...row, conflicts: 0 })) };
}

describe.each([1, 2, 3, 4])('a checkpoint of version %i', (version) => {
  test('is restored with all that was held, and goes on as if nothing had been', async () => {
    const calm = new TaskState(0, TOPICS, defaultPolicy, {}, {});
    readOn(calm, 0, CUT_AT);
    const place = placeOf(asVersion(version), 2);
    const { state: restored, written } = await restoreCheckpoint(place, headOf(version), wanted);
    const state = new TaskState(0, TOPICS, defaultPolicy, {}, {}, restored);
    expect(state.held).toBe(calm.held);
    const expected = readOn(calm, CUT_AT);
    const delta = readOn(state, CUT_AT);
    const conflicts = ({ ledger }: Delta) => ledger.reduce((sum, row) => sum + row.conflicts, 0);
    expect(expected.plays.rows.length).toBeGreaterThan(20);
    expect(expected.ledger.every((row) => row.duplicate > 0)).toBe(true);
    expect(withoutConflicts(delta)).toEqual({ ...withoutConflicts(expected), replay: delta.replay });
    // Checksums were of another kind, and are forgotten.
    expect(conflicts(delta)).toBeLessThan(conflicts(expected));
    // What is written of it names none of the objects that were read, and says the same.
    const stored = await storeCheckpoint(place, state.cut(), written, new AbortController().signal);
    expect(stored.objects.filter((key) => key.startsWith('c/1/'))).toEqual([]);
    const { state: again } = await restoreCheckpoint(place, stored.head, wanted);
    expect(contentsOf(again.store)).toEqual(contentsOf(restored.store));
  });

  test('leaves no strings behind when its records are dropped', async () => {
    const { state } = await restoreCheckpoint(placeOf(asVersion(version), 2), headOf(version), wanted);
    const { store } = state;
    const sizes = () => [
      store.dictionaries.places.size,
      store.dictionaries.labels.size,
      store.profiles.size,
      store.works.size,
    ];
    for (const size of sizes()) expect(size).toBeGreaterThan(4);
    while (store.records > 0) store.dropOldest();
    store.sweep();
    expect([...sizes(), store.keys.size]).toEqual([0, 0, 0, 0, 0]);
  });
});

function contentsOf({ keys, profiles, works, dictionaries, records }: FactStore) {
  const { places, labels } = dictionaries;
  return [records, keys.size, profiles.size, works.size, places.size, labels.size];
}

test.each([3, 4])('what is written anew of version %i is shared with the next checkpoint', async (version) => {
  const place = placeOf(asVersion(version), 2);
  const { state: loaded, written } = await restoreCheckpoint(place, headOf(version), wanted);
  const state = new TaskState(0, TOPICS, defaultPolicy, {}, {}, loaded);
  const store = async (known: Written) => storeCheckpoint(place, state.cut(), known, new AbortController().signal);
  const first = await store(written);
  const second = await store(written);
  expect(second.objects.filter((key) => first.objects.includes(key))).toEqual(first.objects.slice(1));
});

test.each([3, 4])('a segment of version %i that a head of now names is damage', async (version) => {
  const objects = asVersion(version);
  const place = placeOf(objects, 2);
  const { state: loaded } = await restoreCheckpoint(place, headOf(version), wanted);
  const state = new TaskState(0, TOPICS, defaultPolicy, {}, {}, loaded);
  const { head, objects: stored } = await storeCheckpoint(
    place,
    state.cut(),
    new WeakMap(),
    new AbortController().signal,
  );
  const [segment] = stored.filter((key) => key !== head);
  objects.get(segment)?.writeUInt32LE(version, 4);
  await expect(restoreCheckpoint(place, head, wanted)).rejects.toThrow(BadCheckpointError);
});
