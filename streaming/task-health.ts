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
}

/** Records of a topic that are in the log and not committed. */
export function lagOf({ committed, end }: TaskView['topics'][number]): number {
  return Math.max(0, end - committed);
}

/**
 * Whether tasks get on. One that has nothing to read does, and one that commits; one with lag and no commit for half a minute
 * does not. A process without any task stands by, which is well.
 */
export function healthOfTasks({ tasks, untaken, begunAt, assignedAt, ends, now }: TasksSeen): Health {
  const faults: Fault[] = tasks.flatMap((task) => {
    const reason = whyStalled(task, now);
    return reason === null ? [] : [{ what: `task ${task.task}`, reason }];
  });
  const waited = now - (assignedAt ?? begunAt);
  if (assignedAt === null && waited > STALLED_AFTER_MS) {
    faults.push({
      what: 'group',
      reason: `Kafka's group has not given this process its partitions for ${spell(waited)}`,
    });
  }
  if (waited > STALLED_AFTER_MS) {
    const reason = `was given to this process ${spell(waited)} ago and could not be taken yet; see the log`;
    for (const number of untaken) faults.push({ what: `task ${number}`, reason });
  }
  const unseen = now - ends.seenAt;
  if (unseen > STALLED_AFTER_MS) {
    const why = ends.fault === null ? 'no answer' : ends.fault.message;
    faults.push({ what: 'Kafka', reason: `has not said for ${spell(unseen)} where its logs end (${why})` });
  }
  const ready = assignedAt !== null && untaken.length === 0 && !tasks.some(({ recovering }) => recovering);
  return { healthy: faults.length === 0, ready, faults };
}

function whyStalled({ topics, pending, progressAt, failing, recovering }: TaskView, now: number): string | null {
  const lag = topics.reduce((sum, topic) => sum + lagOf(topic), 0);
  const since = now - progressAt;
  if ((lag === 0 && failing === null) || since <= STALLED_AFTER_MS) return null;
  const held = `${lag.toLocaleString('en')} records are waiting`;
  if (failing !== null) {
    const at = new Date(failing.since).toISOString();
    const what = isPassing(failing.error) ? 'Postgres is away' : 'Postgres refuses';
    const meanwhile = `reading goes on until memory allows no more, and nothing is lost (${pending.toLocaleString('en')} read)`;
    return `nothing could be committed for ${spell(since)}: ${what} since ${at} (${failing.error.message}); ${held}; ${meanwhile}`;
  }
  if (recovering) return `its state is being rebuilt, and nothing was read for that in ${spell(since)}; ${held}`;
  return `nothing was read and committed for ${spell(since)}; ${held}`;
}
