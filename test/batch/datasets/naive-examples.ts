/**
 * Labels and features once more, from the rules and the oracle's answers, in the plainest form: to hold the datasets against.
 * Shares nothing with the code but the types.
 */

import type { Impression } from '../../../attribution/events.ts';
import { defaultParameters, oracle, type LogRecord, type OraclePlay } from '../../oracle/oracle.ts';
import { facts } from '../../oracle/reading.ts';
import { utcDay } from '../../oracle/order.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export interface NaiveRequest {
  from: string;
  to: string;
  positives: 'discovery' | 'source_of_play';
  labelWindowMs: number;
  /** Infinity: complete. */
  watermark: number;
}

export interface NaiveExample {
  impression: Impression;
  outcome:
    | 'positive'
    | 'negative'
    | 'another_surface'
    | 'another_impression'
    | 'unqualified'
    | 'already_discovered'
    | 'not_matured';
}

/** What becomes of each valid impression of the days. */
export function naiveExamples(log: readonly LogRecord[], request: NaiveRequest): NaiveExample[] {
  const { plays } = oracle(log, 'batch');
  return impressionsOf(log)
    .filter(({ event_time }) => request.from <= utcDay(event_time) && utcDay(event_time) <= request.to)
    .map((impression) => ({ impression, outcome: outcomeOf(impression, plays, request) }));
}

function impressionsOf(log: readonly LogRecord[]): Impression[] {
  return facts(log, 'batch', defaultParameters).filter((event) => event.type === 'impression');
}

function workOf(event: { title_id: string; series_id: string | null }): string {
  return event.series_id ?? event.title_id;
}

function outcomeOf(
  impression: Impression,
  plays: readonly OraclePlay[],
  { positives, labelWindowMs, watermark }: NaiveRequest,
): NaiveExample['outcome'] {
  const at = impression.event_time;
  const ofKey = plays.filter(
    (play) => play.profile_id === impression.profile_id && play.work_id === workOf(impression),
  );
  const isFinal = (play: OraclePlay) => watermark > play.ended_at + 40 * MINUTE;
  const isMatured = watermark > at + labelWindowMs + 40 * MINUTE;
  const following = ofKey.filter((play) => at <= play.started_at && play.started_at <= at + labelWindowMs);
  const discovery = ofKey.find((play) => play.is_discovery);

  const crediting =
    positives === 'discovery'
      ? ofKey.filter((play) => play.is_discovery && play.sod_impression_id === impression.event_id)
      : ofKey.filter((play) => play.qualified && play.sop_impression_id === impression.event_id);
  if (crediting.some(isFinal)) return 'positive';
  if (crediting.length > 0) return 'not_matured';
  if (following.length === 0) return isMatured ? 'negative' : 'not_matured';

  if (positives === 'source_of_play') {
    const launched = following.find((play) => play.qualified);
    if (launched !== undefined) {
      if (!isFinal(launched)) return 'not_matured';
      return launched.sop_impression_id === null ? 'another_surface' : 'another_impression';
    }
  } else if (discovery !== undefined && discovery.started_at <= at + labelWindowMs) {
    if (!isFinal(discovery)) return 'not_matured';
    if (discovery.started_at < at) return 'already_discovered';
    const isOfPath = discovery.path.some(
      (touch) => touch.impression_id !== null && touch.impression_id === discovery.sod_impression_id,
    );
    return isOfPath ? 'another_impression' : 'another_surface';
  }
  return isMatured && following.every(isFinal) ? 'unqualified' : 'not_matured';
}

/** What the facts before the impression, and nothing else, say. */
export function naiveFeatures(log: readonly LogRecord[], impression: Impression): Record<string, unknown> {
  const at = impression.event_time;
  const before = facts(log, 'batch', defaultParameters).filter(
    (event) =>
      event.event_time < at && event.profile_id === impression.profile_id && workOf(event) === workOf(impression),
  );
  const { plays } = oracle(
    before.map((event, offset) => ({ topic: 't', partition: 0, offset, event })),
    'batch',
  );
  const seen = before.filter((event) => event.type === 'impression').map((event) => event.event_time);
  const recent = seen.filter((time) => time >= at - 30 * DAY);
  const time = new Date(at);
  return {
    country: impression.country,
    device_type: impression.device_type,
    profile_type: impression.profile_type,
    page: impression.page,
    row_type: impression.row_type,
    surface_class:
      defaultParameters.classes.get(impression.row_type) ??
      defaultParameters.classes.get(impression.page) ??
      'discovery',
    row_rank: impression.row_rank,
    position: impression.position,
    hour_of_day: time.getUTCHours(),
    day_of_week: (time.getUTCDay() + 6) % 7,
    impressions_24h: seen.filter((time) => time >= at - DAY).length,
    impressions_30d: recent.length,
    seconds_since_impression: recent.length === 0 ? null : (at - Math.max(...recent)) / 1000,
    plays: plays.length,
    qualified_plays: plays.filter((play) => play.qualified).length,
    watched_ms: plays.reduce((sum, play) => sum + play.watched_ms, 0),
    seconds_since_play: plays.length === 0 ? null : (at - Math.max(...plays.map((play) => play.ended_at))) / 1000,
    discovered_before: plays.some((play) => play.qualified),
  };
}
