import { weigh } from './models.ts';
import type { Play, Source } from './plays.ts';
import type { Policy } from './policy.ts';

/** A play as a row of the tables of plays, which both layers have, in the form that `json_populate_recordset` reads. */
export type PlayRow = ReturnType<typeof playRow>;

export function playRow(play: Play, policy: Policy) {
  const { sop, candidate, path, started_at, ended_at, assisted, ...columns } = play;
  const touchedAt = path.map((touch) => touch.touched_at);
  return {
    ...columns,
    started_at: iso(started_at),
    ended_at: iso(ended_at),
    ...sopColumns(sop),
    ...ownColumns(candidate),
    own_assisted: assisted,
    policy: policy.hash,
    path_impression_id: path.map((touch) => touch.impression_id),
    path_surface: path.map((touch) => touch.surface),
    path_row_type: path.map((touch) => touch.row_type),
    path_row_id: path.map((touch) => touch.row_id),
    path_row_rank: path.map((touch) => touch.row_rank),
    path_position: path.map((touch) => touch.position),
    path_touched_at: touchedAt.map(iso),
    path_weights: policy.models.flatMap((model) => weigh(model, touchedAt)),
  };
}

function sopColumns(source: Source) {
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

function ownColumns(source: Source) {
  return {
    own_surface: source.surface,
    own_class: source.class,
    own_row_type: source.row_type,
    own_row_id: source.row_id,
    own_row_rank: source.row_rank,
    own_position: source.position,
    own_impression_id: source.impression_id,
    own_evidence: source.evidence,
  };
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
