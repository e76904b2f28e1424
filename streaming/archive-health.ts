import { spell, STALLED_AFTER_MS, type Fault, type Health } from '../platform/health.ts';
import { isPassing } from '../platform/passing.ts';
import { faultsOfEnds, type TasksSeen } from './task-health.ts';

/** How the archiving of a topic-partition is at one moment. Times are epoch milliseconds. */
export interface ArchiveView {
  topic: string;
  partition: number;
  /** The next offset to commit, and to read; of the log's next record, as was last heard. */
  committed: number;
  position: number;
  end: number;
  /** When it last read or committed. */
  progressAt: number;
  /** For how long the oldest record has waited for its file, milliseconds. */
  pendingMs: number;
  /** Since when it cannot commit, and why. */
  failing: { since: number; error: Error } | null;
}

export interface ArchiveSeen extends Pick<TasksSeen, 'assignedAt' | 'ends' | 'now' | 'stalledAfterMs'> {
  views: readonly ArchiveView[];
  /** Topic-partitions that are ours, and not taken yet. */
  untaken: readonly string[];
  /** After so long a file is due; so often the logs are looked at. */
  rollMs: number;
  lookMs: number;
}

/** Whether the archive gets on: what is in the log is read, and what is read becomes a file when it is time. */
export function healthOfArchive(seen: ArchiveSeen): Pick<Health, 'healthy' | 'faults'> {
  const { views, untaken, assignedAt, ends, lookMs, now, stalledAfterMs = STALLED_AFTER_MS } = seen;
  const faults: Fault[] = views.flatMap((view) => {
    const reason = whyStalled(view, seen, stalledAfterMs);
    return reason === null ? [] : [{ what: `archive ${view.topic}/${view.partition}`, reason }];
  });
  if (assignedAt !== null && now - assignedAt > stalledAfterMs) {
    const reason = `was given to this process ${spell(now - assignedAt)} ago and could not be taken yet; see the log`;
    faults.push(...untaken.map((name) => ({ what: `archive ${name}`, reason })));
  }
  faults.push(...faultsOfEnds(ends, now, lookMs + stalledAfterMs));
  return { healthy: faults.length === 0, faults };
}

function whyStalled(view: ArchiveView, { rollMs, now }: ArchiveSeen, limitMs: number): string | null {
  const { failing, position, end, pendingMs, progressAt, committed } = view;
  const waiting = `${(Math.max(end, position) - committed).toLocaleString('en')} records are waiting`;
  if (failing !== null && now - failing.since > limitMs) {
    const at = new Date(failing.since).toISOString();
    const who = isPassing(failing.error) && !('$metadata' in failing.error) ? 'Postgres' : 'the storage';
    return `nothing could be committed since ${at}: ${who} does not take it (${failing.error.message}); ${waiting}, nothing is lost`;
  }
  if (end > position && now - progressAt > limitMs) {
    return `nothing was read for ${spell(now - progressAt)}; ${waiting}`;
  }
  if (pendingMs > rollMs + limitMs) return `a file is due for ${spell(pendingMs - rollMs)}; ${waiting}`;
  return null;
}
