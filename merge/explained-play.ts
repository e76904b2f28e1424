import type { Explanation } from '../attribution/explain.ts';
import { playRow, type PlayRow } from '../attribution/play-row.ts';
import type { Policy } from '../attribution/policy.ts';

// What both layers say of a play that somebody asks about.

/** No play has this id. */
export class UnknownPlayError extends Error {
  override readonly name = 'UnknownPlayError';
  constructor(id: string) {
    super(
      `There is no play ${id}. A play has another id once it turns out to have begun earlier; look it up with: ` +
        `select play_id, started_at from whence.plays where profile_id = '…' and work_id = '…'`,
    );
  }
}

/** What is no UUID is no play's id. */
export class InvalidPlayIdError extends Error {
  override readonly name = 'InvalidPlayIdError';
  constructor(found: string) {
    super(`"${found}" is not the id of a play, expected a UUID as in whence.plays.play_id`);
  }
}

/** A row of `whence.plays`, times as ISO-8601. */
export interface ServedPlay {
  play_id: string;
  profile_id: string;
  work_id: string;
  title_id: string;
  country: string;
  device_type: string;
  started_at: string;
  ended_at: string;
  watched_ms: number;
  qualified: boolean;
  state: 'provisional' | 'final';
  sop_surface: string;
  sop_class: string | null;
  sop_row_type: string | null;
  sop_row_id: string | null;
  sop_row_rank: number | null;
  sop_position: number | null;
  sop_impression_id: string | null;
  sop_evidence: string;
  sod_surface: string;
  sod_class: string | null;
  sod_row_type: string | null;
  sod_row_id: string | null;
  sod_row_rank: number | null;
  sod_position: number | null;
  sod_impression_id: string | null;
  sod_evidence: string;
  assisted: boolean;
  is_discovery: boolean;
  discovered_at: string | null;
  rule: Explanation['rule'];
  layer: string;
  policy: string;
}

export interface PlayExplanation {
  served: ServedPlay;
  /** What is kept of it beside: its own candidate, its path and the weights. */
  stored: PlayRow;
  /** The play that discovered the work for the profile, null where none is qualified. */
  discovery_play_id: string | null;
  policy: Policy;
  /**
   * Whether the facts that are read again explain the row: `agree`; `differ` (some facts are no longer there, or came since);
   * `gone` (the play cannot be derived from what is left).
   */
  facts: 'agree' | 'differ' | 'gone';
  /** Null where the facts are gone. */
  explanation: Explanation | null;
  records_read: number;
}

/** What is said of a play, by what came out of deriving it again: null where its facts are gone. */
export function explainedBy(
  loaded: Pick<PlayExplanation, 'served' | 'stored' | 'discovery_play_id'>,
  policy: Policy,
  explanation: Explanation | null,
  recordsRead: number,
): PlayExplanation {
  const { served, stored, discovery_play_id } = loaded;
  const agrees = explanation !== null && isSameRow(playRow(explanation.play, policy), stored);
  return {
    served,
    stored,
    discovery_play_id,
    policy,
    facts: explanation === null ? 'gone' : agrees ? 'agree' : 'differ',
    explanation,
    records_read: recordsRead,
  };
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** @throws InvalidPlayIdError */
export function checkPlayId(text: string): string {
  if (!UUID.test(text)) throw new InvalidPlayIdError(text);
  return text.toLowerCase();
}

/** Whether a play that was derived again is the one that is stored. */
function isSameRow(derived: PlayRow, stored: PlayRow): boolean {
  return Object.entries(derived).every(
    ([column, value]) =>
      JSON.stringify(value, timesAsNumbers) === JSON.stringify(stored[column as keyof PlayRow], timesAsNumbers),
  );
}

/** For JSON: one time can be written in several ways. */
function timesAsNumbers(_: string, value: unknown): unknown {
  return typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value) ? Date.parse(value) : value;
}
