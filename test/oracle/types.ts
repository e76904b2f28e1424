/** What the oracle reads and answers. Column names are those of `whence.plays`; times are epoch milliseconds. */

import type { Event, SurfaceClass } from '../../attribution/events.ts';

/** A valid event at its place in the log. */
export interface LogRecord {
  topic: string;
  partition: number;
  offset: number;
  event: Event;
}

export type Mode = 'speed' | 'batch';
export type Evidence = 'exact' | 'claimed' | 'inferred' | 'none';
export type Rule = 'origin_impression' | 'origin_claim' | 'last_impression' | 'unknown';
export type Model = 'last_touch' | 'first_touch' | 'linear' | 'position_based' | 'time_decay';

/** Where a play was launched, or a work discovered. */
export interface Source {
  surface: string;
  class: SurfaceClass | null;
  row_type: string | null;
  row_id: string | null;
  row_rank: number | null;
  position: number | null;
  impression_id: string | null;
  evidence: Evidence;
}

/** An impression that may take credit for a play, or the launch itself. */
export interface Touch {
  impression_id: string | null;
  surface: string;
  row_type: string | null;
  row_id: string | null;
  row_rank: number | null;
  position: number | null;
  touched_at: number;
}

interface SopColumns {
  sop_surface: string;
  sop_class: SurfaceClass | null;
  sop_row_type: string | null;
  sop_row_id: string | null;
  sop_row_rank: number | null;
  sop_position: number | null;
  sop_impression_id: string | null;
  sop_evidence: Evidence;
}

interface SodColumns {
  sod_surface: string;
  sod_class: SurfaceClass | null;
  sod_row_type: string | null;
  sod_row_id: string | null;
  sod_row_rank: number | null;
  sod_position: number | null;
  sod_impression_id: string | null;
  sod_evidence: Evidence;
}

export interface OraclePlay extends SopColumns, SodColumns {
  playback_id: string;
  playback_ids: string[];
  profile_id: string;
  work_id: string;
  title_id: string;
  country: string;
  device_type: string;
  /** UTC date of the start, 'YYYY-MM-DD'. */
  day: string;
  started_at: number;
  ended_at: number;
  watched_ms: number;
  qualified: boolean;
  inferred_start: boolean;
  inferred_end: boolean;
  assisted: boolean;
  is_discovery: boolean;
  discovered_at: number | null;
  rule: Rule;
  /** The origin named an impression, but no eligible one. */
  orphan_token: boolean;
  /** The kept path, in path order. */
  path: Touch[];
  /** How many touches of the path were left out of it. */
  touches_omitted: number;
}

export interface OracleDiscovery extends SodColumns {
  profile_id: string;
  work_id: string;
  started_at: number;
  discovered_at: number;
}

export interface OracleCredit {
  profile_id: string;
  work_id: string;
  started_at: number;
  model: Model;
  touch_index: number;
  impression_id: string | null;
  row_type: string | null;
  row_rank: number | null;
  position: number | null;
  touched_at: number;
  weight: number;
}

export interface OracleAnswer {
  plays: OraclePlay[];
  discoveries: OracleDiscovery[];
  credits: OracleCredit[];
}

export function sopColumns(source: Source): SopColumns {
  return {
    sop_surface: source.surface,
    sop_class: source.class,
    sop_row_type: source.row_type,
    sop_row_id: source.row_id,
    sop_row_rank: source.row_rank,
    sop_position: source.position,
    sop_impression_id: source.impression_id,
    sop_evidence: source.evidence,
  };
}

export function sodColumns(source: Source): SodColumns {
  return {
    sod_surface: source.surface,
    sod_class: source.class,
    sod_row_type: source.row_type,
    sod_row_id: source.row_id,
    sod_row_rank: source.row_rank,
    sod_position: source.position,
    sod_impression_id: source.impression_id,
    sod_evidence: source.evidence,
  };
}
