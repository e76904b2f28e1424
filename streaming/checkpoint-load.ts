import { FactStore } from '../attribution/facts/fact-store.ts';
import { OlderRecords } from '../attribution/facts/older-records.ts';
import { endRestoring, restoreSegment } from '../attribution/facts/segment.ts';
import type { Policy } from '../attribution/policy.ts';
import type { Logger } from '../platform/log.ts';
import { NoSuchObjectError } from '../platform/storage.ts';
import { BadCheckpointError, unseal, UnusableCheckpointError, type CheckpointHead } from './checkpoint-format.ts';
import { inSlices, type CheckpointPlace, type Written } from './checkpoint-write.ts';
import type { OnStep } from './commit.ts';
import { findCheckpoints } from './sql/find-checkpoints.ts';
import { forgetCheckpoint } from './sql/forget-checkpoint.ts';
import type { RestoredState } from './task-state.ts';

/** What a checkpoint must be of to be of use. */
export interface Wanted {
  policy: Policy;
  topics: readonly string[];
  /** By topic: the first offset that the log still holds, and up to which records are committed. */
  earliest: readonly number[];
  committed: readonly number[];
}

export interface Loaded {
  state: RestoredState;
  written: Written;
}

/**
 * Restores the newest checkpoint of a task that can be used, or null where none can: each that cannot is told of, with why.
 * One that is damaged, or lacks an object, is forgotten.
 */
export async function loadCheckpoint(
  place: CheckpointPlace,
  wanted: Wanted,
  log: Logger,
  onStep: OnStep = () => {},
): Promise<Loaded | null> {
  const rows = await findCheckpoints(place.pool, place.task);
  for (const [index, row] of rows.entries()) {
    try {
      const loaded = await restoreCheckpoint(place, row.head, wanted, onStep);
      log.info({ task: place.task, records: row.records, checkpoint: row.head }, 'restored from a checkpoint');
      return loaded;
    } catch (error) {
      const next = index + 1 < rows.length ? 'trying the one before it' : 'reading the log again instead';
      log.warn({ task: place.task, checkpoint: row.head, err: error }, `cannot use a checkpoint, ${next}`);
      const lost = error instanceof BadCheckpointError || error instanceof NoSuchObjectError;
      if (lost) await forgetCheckpoint(place.pool, row.checkpoint);
    }
  }
  return null;
}

/**
 * Restores the state of the checkpoint with this head.
 *
 * @throws BadCheckpointError, UnusableCheckpointError, NoSuchObjectError
 */
export async function restoreCheckpoint(
  place: Pick<CheckpointPlace, 'storage' | 'policy'>,
  key: string,
  wanted: Wanted,
  onStep: OnStep = () => {},
): Promise<Loaded> {
  const { storage } = place;
  const { format, body } = await unseal(key, await storage.get(key));
  const head = format.parseHead(body);
  await onStep('head read');
  check(key, head, wanted, place.policy);
  const store = new FactStore(wanted.policy);
  const written: Written = new WeakMap();
  const older = format.otherRecords ? new OlderRecords(store, head.places ?? [], head.labels ?? []) : null;
  for (const { serial, begunAt, records, shadowed, segments } of head.chunks) {
    const chunk = store.chunks.restore(serial, begunAt);
    shadowed.forEach((place) => chunk.shadowed.add(place));
    for (const segment of segments) {
      const object = await storage.get(segment.key);
      const { format: its, body: columns } = await unseal(segment.key, object, segment.sha256);
      // Heads of 2 and 3 may name segments of those before.
      if (its.otherRecords !== format.otherRecords || (its.otherChecksums && !format.otherChecksums)) {
        throw new BadCheckpointError(`${key} names a segment of a format that cannot be its own, ${segment.key}`);
      }
      await inSlices(restoreSegment(store, chunk, columns, older, its.otherChecksums));
      await onStep('segment restored');
    }
    if (chunk.count !== records) {
      throw new BadCheckpointError(`${key} has ${chunk.count} records in a chunk that it says has ${records}`);
    }
    // What is of another version is written anew.
    if (!format.otherChecksums) written.set(chunk, segments);
  }
  endRestoring(store);
  await onStep('restored');
  const clocks = head.clocks.map((clock) => clock ?? -Infinity);
  return { state: { store, next: head.next, clocks, marks: head.marks }, written };
}

/** @throws UnusableCheckpointError */
function check(key: string, head: CheckpointHead, wanted: Wanted, policy: string): void {
  const fault = (why: string) => new UnusableCheckpointError(`${key} ${why}`);
  if (head.policy !== policy) throw fault(`was made under policy ${head.policy}; it is ${policy} now`);
  if (head.topics.join() !== wanted.topics.join()) {
    throw fault(`is of the topics ${head.topics.join(', ')}; they are ${wanted.topics.join(', ')} now`);
  }
  for (const [index, topic] of head.topics.entries()) {
    const next = head.next[index];
    if (next < wanted.earliest[index]) {
      throw fault(`goes on at offset ${next} of ${topic}, whose log begins at ${wanted.earliest[index]}`);
    }
    if (next > wanted.committed[index]) {
      throw fault(`has read ${topic} up to ${next}, and only ${wanted.committed[index]} are committed`);
    }
  }
}
