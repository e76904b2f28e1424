import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Chunk } from '../attribution/facts/chunk.ts';
import { SEGMENT_RECORDS, writeSegment } from '../attribution/facts/segment.ts';
import { type Outage, waitOut } from '../platform/outage.ts';
import { isPassing } from '../platform/passing.ts';
import type { Pool } from '../platform/postgres.ts';
import type { Storage } from '../platform/storage.ts';
import { seal, type CheckpointHead, type SavedSegment } from './checkpoint-format.ts';
import type { OnStep } from './commit.ts';
import { FencedError } from './errors.ts';
import { type NewCheckpoint, registerCheckpoint } from './sql/register-checkpoint.ts';
import { finiteOrNull, type StateCut } from './task-state.ts';

/** Where the checkpoints of a task stand. */
export interface CheckpointPlace {
  pool: Pool;
  outage: Outage;
  storage: Storage;
  /** The task's objects: `checkpoints/<installation>/<task>/`. */
  prefix: string;
  task: number;
  epoch: number;
  policy: string;
}

/** Of segments that are in the storage: by chunk, in order. What was written once is not written again. */
export type Written = WeakMap<Chunk, SavedSegment[]>;

/** What stands in the storage. */
export interface StoredCheckpoint {
  /** Storage keys: what is read first, and all that it needs, itself included. */
  head: string;
  objects: string[];
  records: number;
  /** Of all objects, and of those that were new. */
  bytes: number;
  newBytes: number;
}

export type CheckpointWritten = Pick<StoredCheckpoint, 'records' | 'bytes' | 'newBytes'>;

/** Runs a slice at a time, and lets everything else go first in between, until it is done or the signal aborts. */
export async function inSlices<Result>(work: Generator<void, Result>, signal?: AbortSignal): Promise<Result> {
  for (;;) {
    signal?.throwIfAborted();
    const { done, value } = work.next();
    if (done) return value;
    await nextTurn();
  }
}

/**
 * Writes what was cut to the storage; whatever the task reads meanwhile is not in it. Of the records only those are written
 * that no earlier checkpoint has, and the last segment of each chunk until it is full. Nothing of the cut may be dropped
 * before this ends, or before the signal aborts.
 */
export async function storeCheckpoint(
  place: Pick<CheckpointPlace, 'storage' | 'prefix' | 'epoch' | 'policy'>,
  cut: StateCut,
  written: Written,
  signal: AbortSignal,
  onStep: OnStep = () => {},
): Promise<StoredCheckpoint> {
  const { storage, prefix, epoch } = place;
  const put = async (name: string, parts: readonly Uint8Array[]) => {
    const { object, sha256 } = seal(parts);
    const key = `${prefix}${epoch}/${name}-${randomUUID()}`;
    await storage.put(key, object);
    return { key, bytes: object.length, sha256 };
  };
  let newBytes = 0;
  const chunks: CheckpointHead['chunks'] = [];
  for (const { chunk, count, shadowed } of cut.facts.chunks) {
    const segments: SavedSegment[] = [];
    const before = written.get(chunk) ?? [];
    for (let from = 0; from < count; from += SEGMENT_RECORDS) {
      const to = Math.min(from + SEGMENT_RECORDS, count);
      const known = before[segments.length];
      if (known?.records === to - from) {
        segments.push(known);
        continue;
      }
      const stored = await put(
        'records',
        await inSlices(writeSegment(cut.facts.held, chunk, segments.length, to - from), signal),
      );
      await onStep('segment written');
      newBytes += stored.bytes;
      segments.push({ ...stored, records: to - from });
    }
    written.set(chunk, segments);
    chunks.push({ serial: chunk.serial, begunAt: chunk.begunAt, records: count, shadowed, segments });
  }
  const head = await put('head', [headOf(place.policy, cut, chunks)]);
  newBytes += head.bytes;
  await onStep('head written');
  const segments = chunks.flatMap((chunk) => chunk.segments);
  return {
    head: head.key,
    objects: [head.key, ...segments.map((segment) => segment.key)],
    records: chunks.reduce((sum, chunk) => sum + chunk.records, 0),
    bytes: segments.reduce((sum, segment) => sum + segment.bytes, head.bytes),
    newBytes,
  };
}

/**
 * Stores a checkpoint and registers it, and removes what no checkpoint of the task needs any more.
 *
 * @throws FencedError where the task is another's by now
 */
export async function writeCheckpoint(
  place: CheckpointPlace,
  cut: StateCut,
  written: Written,
  signal: AbortSignal,
  onStep: OnStep = () => {},
): Promise<CheckpointWritten> {
  const { storage, epoch } = place;
  const stored = await storeCheckpoint(place, cut, written, signal, onStep);
  signal.throwIfAborted();
  const offsets = Object.fromEntries(cut.topics.map((topic, index) => [topic, cut.next[index]]));
  const old = await registerAgain(place, { offsets, ...stored }, signal);
  if (old === null) throw new FencedError(place.task, epoch);
  await onStep('registered');
  for (const key of old) await storage.delete(key);
  await onStep('old removed');
  const { records, bytes, newBytes } = stored;
  return { records, bytes, newBytes };
}

/** While Postgres is away, what was stored waits for its row: nothing is told of it but that Postgres is away. */
async function registerAgain(
  { pool, outage, task, epoch }: CheckpointPlace,
  checkpoint: NewCheckpoint,
  signal: AbortSignal,
): Promise<string[] | null> {
  const part = `checkpoint of task ${task}`;
  const register = () => registerCheckpoint(pool, task, epoch, checkpoint);
  return waitOut(register, { outage, part, passes: isPassing, signal });
}

function headOf(policy: string, cut: StateCut, chunks: CheckpointHead['chunks']): Buffer {
  const { topics, next, marks } = cut;
  const clocks = cut.clocks.map(finiteOrNull);
  const head: CheckpointHead = { policy, topics, next, clocks, marks, chunks };
  return Buffer.from(JSON.stringify(head));
}
