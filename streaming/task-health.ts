import type { CheckpointView } from './checkpoints.ts';
import { spell, STALLED_AFTER_MS, type Fault, type Health } from '../platform/health.ts';
import { isPassing } from '../platform/passing.ts';

/** How a task is at one moment. Times are epoch milliseconds. */
export interface TaskView {
  task: number;
  topics: {
    topic: string;
    /** The next offset to commit. */
    committed: number;
    /** Kafka timestamp of the last record committed; null where none is known. */
    stampedAt: number | null;
    /** The offset of the log's next record, as was last heard. */
    end: number;
  }[];
  /** Event time; null where unknown. */
  watermark: number | null;
  /** Its state is being rebuilt: nothing can be committed yet. */
  recovering: boolean;
  /** Records read and not committed. */
  pending: number;
  facts: number;
  factBytes: number;
  /** When it last committed, or got on with its recovery. */
  progressAt: number;
  /** Since when it cannot commit, and why. */
  failing: { since: number; error: Error } | null;
  /** Since when a commit is under way. */
  committingSince: number | null;
  /** Null where none are written. */
  checkpoint: CheckpointView | null;
}

export interface TasksSeen {
  tasks: readonly TaskView[];
  /** Partition numbers that are ours, and not taken yet. */
  untaken: readonly number[];
  begunAt: number;
  /** When the group last gave us partitions, none among them; null where it never did. */
  assignedAt: number | null;
  /** When Kafka last said where the logs end, and why it does not now. */
  ends: { seenAt: number; fault: Error | null };
  now: number;
  /** After so long without progress; half a minute by default. */
  stalledAfterMs?: number;
}

/** Records of a topic that are in the log and not committed. */
export function lagOf({ committed, end }: TaskView['topics'][number]): number {
  return Math.max(0, end - committed);
}

/**
 * Whether tasks get on. One that has nothing to read does, and one that commits; one with lag and no commit for half a minute
 * does not. A process without any task stands by, which is well.
 */
export function healthOfTasks(seen: TasksSeen): Health {
  const { tasks, untaken, begunAt, assignedAt, ends, now, stalledAfterMs = STALLED_AFTER_MS } = seen;
  const faults: Fault[] = tasks.flatMap((task) => {
    const reason = whyStalled(task, now, stalledAfterMs);
    return reason === null ? [] : [{ what: `task ${task.task}`, reason }];
  });
  const waited = now - (assignedAt ?? begunAt);
  if (assignedAt === null && waited > stalledAfterMs) {
    faults.push({
      what: 'group',
      reason: `Kafka's group has not given this process its partitions for ${spell(waited)}`,
    });
  }
  if (waited > stalledAfterMs) {
    const reason = `was given to this process ${spell(waited)} ago and could not be taken yet; see the log`;
    for (const number of untaken) faults.push({ what: `task ${number}`, reason });
  }
  faults.push(...faultsOfEnds(ends, now, stalledAfterMs));
  const ready = assignedAt !== null && untaken.length === 0 && !tasks.some(({ recovering }) => recovering);
  return { healthy: faults.length === 0, ready, faults: [...faults, ...tasks.flatMap(checkpointFaults)] };
}

/** Kafka, where it has not said for too long where its logs end. */
export function faultsOfEnds({ seenAt, fault }: TasksSeen['ends'], now: number, limitMs: number): Fault[] {
  const unseen = now - seenAt;
  if (unseen <= limitMs) return [];
  const why = fault === null ? 'no answer' : fault.message;
  return [{ what: 'Kafka', reason: `has not said for ${spell(unseen)} where its logs end (${why})` }];
}

/** Told, though answers do not suffer: a restart would read more of the log. */
function checkpointFaults({ task, checkpoint }: TaskView): Fault[] {
  if (checkpoint === null || checkpoint.failing === null) return [];
  const { at, failing } = checkpoint;
  const reason =
    `none can be written since ${new Date(failing.since).toISOString()} (${failing.error.message}); a restart would read the ` +
    `log again from what there was at ${new Date(at).toISOString()}, and nothing is lost`;
  return [{ what: `checkpoints of task ${task}`, reason }];
}

function whyStalled(view: TaskView, now: number, limitMs: number): string | null {
  const { topics, pending, progressAt, failing, recovering, committingSince } = view;
  const lag = topics.reduce((sum, topic) => sum + lagOf(topic), 0);
  const since = now - progressAt;
  if ((lag === 0 && failing === null) || since <= limitMs) return null;
  const held = `${lag.toLocaleString('en')} records are waiting`;
  if (failing !== null) {
    const at = new Date(failing.since).toISOString();
    const what = isPassing(failing.error) ? 'Postgres is away' : 'Postgres refuses';
    const meanwhile = `reading goes on until memory allows no more, and nothing is lost (${pending.toLocaleString('en')} read)`;
    return `nothing could be committed for ${spell(since)}: ${what} since ${at} (${failing.error.message}); ${held}; ${meanwhile}`;
  }
  if (committingSince !== null) {
    return `Postgres is slow: a commit has taken ${spell(now - committingSince)} so far; ${held}, and nothing is lost`;
  }
  if (recovering) return `its state is being rebuilt, and nothing was read for that in ${spell(since)}; ${held}`;
  return `nothing was read and committed for ${spell(since)}; ${held}`;
}
