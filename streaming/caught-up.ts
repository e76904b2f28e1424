import { setTimeout as sleep } from 'node:timers/promises';
import { isPassing } from '../platform/passing.ts';
import type { Queryable } from '../platform/postgres.ts';
import type { TopicOffset } from './task-state.ts';
import type { LogBounds } from './topics.ts';

const POLL_MS = 100;

/**
 * Waits until all records that the logs held at some moment are committed, by whichever process.
 *
 * @param targets the bounds of the logs at that moment
 */
export async function waitUntilCaughtUp(
  database: Queryable,
  targets: ReadonlyMap<string, readonly LogBounds[]>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const offsets = await committedOffsets(database);
      const missing = [...targets].some(([topic, partitions]) =>
        partitions.some(({ next, earliest }, partition) => {
          return next > earliest && (offsets.get(partition)?.[topic]?.next ?? 0) < next;
        }),
      );
      if (!missing) return;
    } catch (error) {
      // While Postgres is away nothing is committed; whoever writes into it says so.
      if (!(error instanceof Error && isPassing(error))) throw error;
    }
    await sleep(POLL_MS);
  }
}

async function committedOffsets(database: Queryable): Promise<Map<number, Record<string, TopicOffset>>> {
  const { rows } = await database.query<{ task: number; offsets: Record<string, TopicOffset> }>(
    'select task, offsets from whence.speed_tasks',
  );
  return new Map(rows.map((row) => [row.task, row.offsets]));
}
