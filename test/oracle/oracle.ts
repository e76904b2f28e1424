/**
 * The oracle: the rules of attribution in the plainest form, to hold the core against. It shares nothing with the core
 * but the types of the events.
 */

import type { Event, Impression, Playback } from '../../attribution/events.ts';
import { MODELS, weights } from './models.ts';
import { byCodeUnit, groups, utcDay } from './order.ts';
import { defaultParameters, type OracleParameters } from './parameters.ts';
import { facts } from './reading.ts';
import { candidateOf, pathOf, sourceOfPlay } from './sources.ts';
import {
  type LogRecord,
  type Mode,
  type OracleAnswer,
  type OracleCredit,
  type OracleDiscovery,
  type OraclePlay,
  sodColumns,
  sopColumns,
} from './types.ts';
import { isQualified, originOf, playbackIdsOf, runs, watchedTime } from './viewing.ts';

export { defaultParameters, type OracleParameters } from './parameters.ts';
export { decide, type Decision, type LedgerRow, speedLedger } from './reading.ts';
export type {
  Evidence,
  LogRecord,
  Mode,
  Model,
  OracleAnswer,
  OracleCredit,
  OracleDiscovery,
  OraclePlay,
  Rule,
  Touch,
} from './types.ts';

/** The answer of a layer to a log, which is in reading order. */
export function oracle(
  log: readonly LogRecord[],
  mode: Mode,
  parameters: OracleParameters = defaultParameters,
): OracleAnswer {
  const events = facts(log, mode, parameters);
  const keys = groups(events, (event) => JSON.stringify([event.profile_id, workId(event)]));
  const plays = keys.flatMap((events) => playsOfKey(events, mode, parameters)).sort(byKeyAndStart);
  return {
    plays,
    discoveries: plays.filter((play) => play.is_discovery).map((play) => discovery(play)),
    credits: plays.flatMap((play) => credits(play, parameters)),
  };
}

/** The work: the series of an episode, or the title itself where there is no series. */
function workId(event: Event): string {
  return event.series_id === null ? event.title_id : event.series_id;
}

function byKeyAndStart(a: OraclePlay, b: OraclePlay): number {
  return byCodeUnit(a.profile_id, b.profile_id) || byCodeUnit(a.work_id, b.work_id) || a.started_at - b.started_at;
}

/** Everything about one key is decided together. */
function playsOfKey(events: readonly Event[], mode: Mode, parameters: OracleParameters): OraclePlay[] {
  const impressions = events.filter((event) => event.type === 'impression');
  const playbacks = events.filter((event) => event.type === 'playback');
  const plays = runs(playbacks, parameters).map((run) => playOf(run, playbacks, impressions, mode, parameters));
  return withDiscovery(plays);
}

/** A play as it is by itself, showing its own candidate. */
function playOf(
  run: readonly Playback[],
  playbacks: readonly Playback[],
  impressions: readonly Impression[],
  mode: Mode,
  parameters: OracleParameters,
): OraclePlay {
  const earliest = run.at(0);
  const last = run.at(-1);
  if (earliest === undefined || last === undefined) throw new Error('a run has at least one event');
  const startedAt = earliest.event_time;
  const watched = watchedTime(run, parameters);
  const origin = originOf(run, playbacks, parameters);
  const sop = sourceOfPlay(startedAt, origin, impressions, mode, parameters);
  const wholePath = pathOf(startedAt, sop.source, impressions, mode, parameters);
  // The path keeps its last 50 touches and counts the rest.
  const path = wholePath.slice(-parameters.pathLimit);
  const candidate = candidateOf(sop.source, path);
  return {
    playback_id: earliest.playback_id,
    playback_ids: playbackIdsOf(run),
    profile_id: earliest.profile_id,
    work_id: workId(earliest),
    title_id: earliest.title_id,
    country: earliest.country,
    device_type: earliest.device_type,
    day: utcDay(startedAt),
    started_at: startedAt,
    ended_at: last.event_time,
    watched_ms: watched,
    qualified: isQualified(run, watched, parameters),
    inferred_start: earliest.action !== 'start',
    inferred_end: last.action !== 'stop',
    ...sopColumns(sop.source),
    ...sodColumns(candidate.source),
    assisted: candidate.assisted,
    is_discovery: false,
    discovered_at: null,
    rule: sop.rule,
    orphan_token: sop.orphanToken,
    path,
    touches_omitted: wholePath.length - path.length,
  };
}

/**
 * Discovery of a key: its earliest qualified play. It alone is_discovery; the plays after it inherit its SoD and
 * assisted, and discovered_at is its start for it and for them. Plays before it show their own candidate.
 */
function withDiscovery(plays: readonly OraclePlay[]): OraclePlay[] {
  const first = plays.find((play) => play.qualified);
  if (first === undefined) return [...plays];
  return plays.map((play) => {
    if (play.started_at < first.started_at) return play;
    return {
      ...play,
      ...sodOf(first),
      assisted: first.assisted,
      is_discovery: play === first,
      discovered_at: first.started_at,
    };
  });
}

function sodOf(play: OraclePlay): ReturnType<typeof sodColumns> {
  return {
    sod_surface: play.sod_surface,
    sod_class: play.sod_class,
    sod_row_type: play.sod_row_type,
    sod_row_id: play.sod_row_id,
    sod_row_rank: play.sod_row_rank,
    sod_position: play.sod_position,
    sod_impression_id: play.sod_impression_id,
    sod_evidence: play.sod_evidence,
  };
}

function discovery(play: OraclePlay): OracleDiscovery {
  return {
    profile_id: play.profile_id,
    work_id: play.work_id,
    started_at: play.started_at,
    discovered_at: play.started_at,
    ...sodOf(play),
  };
}

/** Every model over the play's own path; a weight of 0 makes no row. */
function credits(play: OraclePlay, parameters: OracleParameters): OracleCredit[] {
  return MODELS.flatMap((model) => {
    const shared = weights(model, play.path, play.started_at, parameters);
    return play.path.map((touch, index) => ({
      profile_id: play.profile_id,
      work_id: play.work_id,
      started_at: play.started_at,
      model,
      touch_index: index,
      impression_id: touch.impression_id,
      row_type: touch.row_type,
      row_rank: touch.row_rank,
      position: touch.position,
      touched_at: touch.touched_at,
      weight: shared[index] ?? 0,
    }));
  }).filter((credit) => credit.weight !== 0);
}
