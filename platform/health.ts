/** Why something does not get on, in words for whoever is woken up by it. */
export interface Fault {
  /** What does not: `task 3`, `archive impressions/0`, `process 4711`, … */
  what: string;
  reason: string;
}

export interface Health {
  /** It makes progress, or has nothing to do. */
  healthy: boolean;
  /** It has begun its work: has been told what is its own, and holds the state for it. */
  ready: boolean;
  /** Also of what is wrong and holds up nothing. */
  faults: Fault[];
}

/** What has something to do and gets nothing done for so long does not get on. */
export const STALLED_AFTER_MS = 30_000;

export const HEALTHY: Health = { healthy: true, ready: true, faults: [] };

/** The health of a whole is that of its parts. */
export function healthOf(parts: readonly Health[]): Health {
  return {
    healthy: parts.every(({ healthy }) => healthy),
    ready: parts.every(({ ready }) => ready),
    faults: parts.flatMap(({ faults }) => faults),
  };
}

/** A duration for people: `42 s`, `12 min`, `3 h`. */
export function spell(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}
