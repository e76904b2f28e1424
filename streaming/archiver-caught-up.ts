import { setTimeout as sleep } from 'node:timers/promises';
import type { Admin } from 'kafkajs';
import type { LogPlace } from '../archive/file.ts';
import { readPositions } from '../archive/manifest.ts';
import { isPassing } from '../platform/passing.ts';
import type { Queryable } from '../platform/postgres.ts';
import { nameOf } from './archiver-tasks.ts';
import { wantArchived } from './sql/archive-tasks.ts';
import { fetchBounds } from './topics.ts';

const POLL_MS = 100;

/** Where each topic-partition that has records is to be archived up to. */
export type ArchiveTargets = readonly { topic: string; partition: number; log: number; next: number }[];

/** The ends of the logs as they are now. */
export async function archiveTargets(
  database: Queryable,
  admin: Admin,
  topics: readonly string[],
): Promise<ArchiveTargets> {
  const positions = await horizons(database);
  const targets: ArchiveTargets[number][] = [];
  for (const [topic, partitions] of await fetchBounds(admin, topics)) {
    partitions.forEach(({ earliest, next }, partition) => {
      const { log, offset } = positions.get(nameOf(topic, partition)) ?? { log: 0, offset: 0 };
      // What was archived before the end was asked for cannot be beyond it, but in a log that was re-created.
      if (next > earliest) targets.push({ topic, partition, log: offset > next ? log + 1 : log, next });
    });
  }
  return targets;
}

/** Waits until all of that is archived, by whichever process; those that run make files of what they have by then. */
export async function waitUntilArchived(
  database: Queryable,
  targets: ArchiveTargets,
  signal: AbortSignal,
): Promise<void> {
  let asked = false;
  while (!signal.aborted) {
    try {
      if (!asked) await wantArchived(database, targets);
      asked = true;
      const positions = await horizons(database);
      const missing = targets.some(({ topic, partition, log, next }) => {
        const at = positions.get(nameOf(topic, partition)) ?? { log: 0, offset: 0 };
        return at.log < log || at.offset < next;
      });
      if (!missing) return;
    } catch (error) {
      // While Postgres is away nothing is committed; whoever writes into it says so.
      if (!(error instanceof Error && isPassing(error))) throw error;
    }
    await sleep(POLL_MS);
  }
}

async function horizons(database: Queryable): Promise<Map<string, LogPlace>> {
  const positions = await readPositions(database);
  return new Map(positions.map(({ topic, partition, horizon }) => [nameOf(topic, partition), horizon]));
}
