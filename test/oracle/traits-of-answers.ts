/** Traits of a world that its plays show. */

import { groups } from './order.ts';
import { type LogRecord, oracle, type OraclePlay } from './oracle.ts';
import { holding, type Trait } from './traits.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

export function traitsOfAnswers(log: LogRecord[]): Trait[] {
  const batch = oracle(log, 'batch');
  const speed = oracle(log, 'speed');
  const keys = groups(batch.plays, (play) => JSON.stringify([play.profile_id, play.work_id]));
  return [
    ...batch.plays.flatMap((play) => traitsOfPlay(play, log)),
    ...keys.flatMap((plays) =>
      holding({
        'two plays of a key': plays.length > 1,
        'a key with plays and no discovery': plays.every((play) => play.discovered_at === null),
        'before the discovery': plays.some((play) => play.discovered_at !== null && plays[0]?.discovered_at === null),
        'inherited another source': plays.some(
          (play) =>
            play.discovered_at !== null && !play.is_discovery && play.sod_row_type !== play.path.at(-1)?.row_type,
        ),
        'a gap of 30 min and 1 ms between plays': plays.some(
          (play, index) => play.started_at - (plays[index - 1]?.ended_at ?? 0) === 30 * MINUTE + 1,
        ),
      }),
    ),
    ...holding({
      'two works': new Set(batch.plays.map((play) => play.work_id)).size > 1,
      'two profiles': new Set(batch.plays.map((play) => play.profile_id)).size > 1,
      'speed and batch differ': JSON.stringify(speed) !== JSON.stringify(batch),
    }),
  ];
}

function traitsOfPlay(play: OraclePlay, log: readonly LogRecord[]): Trait[] {
  const T = play.started_at;
  const inKey = log
    .map(({ event }) => event)
    .filter((event) => event.profile_id === play.profile_id && (event.series_id ?? event.title_id) === play.work_id);
  const playbacks = inKey.filter((event) => event.type === 'playback');
  const during = playbacks.filter((event) => event.event_time >= T && event.event_time <= play.ended_at);
  const starts = playbacks.filter((event) => event.action === 'start');
  const times = during.map((event) => event.event_time).sort((a, b) => a - b);
  const named = playbacks.flatMap(({ origin }) =>
    origin !== null && origin.impression_id === null ? [origin.token] : [],
  );
  const launch = inKey.find((event) => event.event_id === play.sop_impression_id && event.type === 'impression');
  const byToken = launch?.type === 'impression' && play.sop_evidence === 'exact' && named.includes(launch.token);
  const ofToken = inKey.filter((event) => byToken && event.type === 'impression' && event.token === launch.token);
  const touchTimes = play.path.map((touch) => touch.touched_at);
  const rule: Trait = `rule ${play.rule}`;
  const sop: Trait = `sop ${play.sop_evidence}`;
  const sod: Trait = `sod ${play.sod_evidence}`;
  return [
    rule,
    sop,
    sod,
    ...(play.sop_class === null ? [] : [`sop class ${play.sop_class}` as const]),
    ...holding({
      'sop class of the surface, the row type unlisted':
        play.sop_class !== 'discovery' && (play.sop_row_type === 'constructor' || play.sop_row_type === 'mood'),
      'sop class discovery, nothing listed': play.sop_class === 'discovery' && play.sop_row_type === '__proto__',
      'sod unknown': play.sod_surface === 'unknown' && play.sod_evidence === 'none',
      'sod unknown_prior': play.sod_surface === 'unknown_prior',
      'sod is an intent': play.sod_class === 'intent',
      assisted: play.assisted,
      'orphan token': play.orphan_token,
      'exact by token': byToken,
      'exact by one of several of a token': ofToken.length > 1,
      'inferred start': play.inferred_start,
      'inferred end': play.inferred_end,
      'qualified by half of a short runtime': play.qualified && play.watched_ms < 120_000 && play.watched_ms > 1,
      'two playback ids in a play': play.playback_ids.length > 1,
      'two titles in a play': new Set(during.map((event) => event.title_id)).size > 1,
      'a play over midnight': new Date(play.ended_at).toISOString().slice(0, 10) !== play.day,
      'a gap of 30 min in a play': times.some((time, index) => time - (times[index - 1] ?? 0) === 30 * MINUTE),
      'watched 120 s': play.watched_ms === 120_000,
      'launched by a muted start':
        play.inferred_start && play.rule.startsWith('origin') && starts.some((event) => event.event_time < T),
      'an event left out of plays': during.some((event) => event.muted_autoplay === true || event.kind === 'trailer'),
      'a start without origin before one with':
        !play.rule.startsWith('origin') && during.some((event) => event.origin !== null && event.action === 'start'),
      'three touches': play.path.length >= 3,
      'a tie in a path': new Set(touchTimes.slice(0, -1)).size < touchTimes.length - 1,
      'launch moved to the end of its path':
        play.sop_evidence === 'exact' &&
        play.path.length > 1 &&
        (launch?.event_time ?? T) < Math.max(...touchTimes.slice(0, -1)) &&
        play.path.at(-1)?.impression_id === play.sop_impression_id,
      'a touch at T': touchTimes.includes(T),
      'a touch 24 h before T': touchTimes.includes(T - DAY),
      'a touch 30 d before T': touchTimes.includes(T - 30 * DAY),
    }),
  ];
}
