import type { CheckpointPlace } from './checkpoint-write.ts';
import { findNamedObjects } from './sql/find-named-objects.ts';

/**
 * Removes objects that no checkpoint of the task names, of epochs below ours: whoever wrote them was killed, or lost the task.
 * To be called where a checkpoint was registered and none is being written: all that the task shares with earlier ones is named
 * then, and whoever takes the task from us takes what is named.
 *
 * @returns how many there were
 */
export async function sweepCheckpoints({ pool, storage, prefix, task, epoch }: CheckpointPlace): Promise<number> {
  const stored = await storage.list(prefix);
  const named = await findNamedObjects(pool, task, epoch);
  if (named === null) return 0;
  const orphans = stored.filter((key) => epochOf(key, prefix) < epoch && !named.has(key));
  for (const key of orphans) await storage.delete(key);
  return orphans.length;
}

/** What has no epoch in its name is left alone. */
function epochOf(key: string, prefix: string): number {
  const [epoch] = key.slice(prefix.length).split('/');
  return /^\d+$/.test(epoch) ? Number(epoch) : Infinity;
}
