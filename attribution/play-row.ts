import { weigh } from './models.ts';
import type { Play } from './plays.ts';
import type { Policy } from './policy.ts';
import { isoTime } from './time.ts';

/** A play as a row of the tables of plays, which both layers have, in the form that `json_populate_recordset` reads. */
export type PlayRow = ReturnType<typeof playRow>;

// Each column by name: spreading so many into one object costs more than deriving the play.
export function playRow(play: Play, policy: Policy) {
  const { sop, candidate, path } = play;
  const touchedAt = path.map((touch) => touch.touched_at);
  return {
    play_id: play.play_id,
    profile_id: play.profile_id,
    work_id: play.work_id,
    playback_id: play.playback_id,
    playback_ids: play.playback_ids,
    title_id: play.title_id,
    country: play.country,
    device_type: play.device_type,
    day: play.day,
    started_at: isoTime(play.started_at),
    ended_at: isoTime(play.ended_at),
    watched_ms: play.watched_ms,
    qualified: play.qualified,
    inferred_start: play.inferred_start,
    inferred_end: play.inferred_end,
    sop_surface: sop.surface,
    sop_class: sop.class,
    sop_row_type: sop.row_type,
    sop_row_id: sop.row_id,
    sop_row_rank: sop.row_rank,
    sop_position: sop.position,
    sop_impression_id: sop.impression_id,
    sop_evidence: sop.evidence,
    own_surface: candidate.surface,
    own_class: candidate.class,
    own_row_type: candidate.row_type,
    own_row_id: candidate.row_id,
    own_row_rank: candidate.row_rank,
    own_position: candidate.position,
    own_impression_id: candidate.impression_id,
    own_evidence: candidate.evidence,
    own_assisted: play.assisted,
    orphan_token: play.orphan_token,
    rule: play.rule,
    policy: policy.hash,
    path_impression_id: path.map((touch) => touch.impression_id),
    path_surface: path.map((touch) => touch.surface),
    path_row_type: path.map((touch) => touch.row_type),
    path_row_id: path.map((touch) => touch.row_id),
    path_row_rank: path.map((touch) => touch.row_rank),
    path_position: path.map((touch) => touch.position),
    path_touched_at: touchedAt.map(isoTime),
    path_weights: policy.models.flatMap((model) => weigh(model, touchedAt)),
    touches_omitted: play.touches_omitted,
  };
}

const SOURCE = ['surface', 'class', 'row_type', 'row_id', 'row_rank', 'position', 'impression_id', 'evidence'];
const PATH = ['impression_id', 'surface', 'row_type', 'row_id', 'row_rank', 'position', 'touched_at', 'weights'];

/** The columns of such a row. */
export const PLAY_ROW_COLUMNS = [
  ['play_id', 'profile_id', 'work_id', 'playback_id', 'playback_ids', 'title_id', 'country', 'device_type', 'day'],
  ['started_at', 'ended_at', 'watched_ms', 'qualified', 'inferred_start', 'inferred_end'],
  SOURCE.map((name) => `sop_${name}`),
  SOURCE.map((name) => `own_${name}`),
  ['own_assisted', 'orphan_token', 'rule', 'policy'],
  PATH.map((name) => `path_${name}`),
  ['touches_omitted'],
].flat() as (keyof PlayRow)[];
