import { spell, STALLED_AFTER_MS, type Fault, type Health } from '../platform/health.ts';

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

/** Whether the archive gets on: what is in the log is read, and what is read becomes a file when it is time. */
export function healthOfArchive(
  views: readonly ArchiveView[],
  rollMs: number,
  now: number,
): Pick<Health, 'healthy' | 'faults'> {
  const faults: Fault[] = views.flatMap((view) => {
    const reason = whyStalled(view, rollMs, now);
    return reason === null ? [] : [{ what: `archive ${view.topic}/${view.partition}`, reason }];
  });
  return { healthy: faults.length === 0, faults };
}

function whyStalled(view: ArchiveView, rollMs: number, now: number): string | null {
  const { failing, position, end, pendingMs, progressAt, committed } = view;
  const waiting = `${(Math.max(end, position) - committed).toLocaleString('en')} records are waiting`;
  if (failing !== null && now - failing.since > STALLED_AFTER_MS) {
    const at = new Date(failing.since).toISOString();
    return `nothing could be committed since ${at}: Postgres does not take it (${failing.error.message}); ${waiting}, nothing is lost`;
  }
  if (end > position && now - progressAt > STALLED_AFTER_MS) {
    return `nothing was read for ${spell(now - progressAt)}; ${waiting}`;
  }
  if (pendingMs > rollMs + STALLED_AFTER_MS) return `a file is due for ${spell(pendingMs - rollMs)}; ${waiting}`;
  return null;
}
