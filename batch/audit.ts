import type { DuckDBAppender, DuckDBConnection } from '@duckdb/node-api';
import { WEIGHT_UNITS } from '../attribution/models.ts';
import type { PlayRow } from '../attribution/play-row.ts';
import type { Rules } from '../attribution/policy.ts';
import { DAY, utcDay } from '../attribution/time.ts';
import { inCodeUnits, rowsOf } from './engine.ts';
import { type Records, recordsBetween } from './facts.ts';
import { dayNumber } from './reach.ts';

/** What is wrong with the weights of a play, or null: those of each model sum to 1, to the last billionth. */
export function weightFault(play: PlayRow): string | null {
  const touches = play.path_touched_at.length;
  if (touches === 0) return play.path_weights.length === 0 ? null : `play ${play.play_id} has weights without touches`;
  for (let begin = 0; begin < play.path_weights.length; begin += touches) {
    const sum = play.path_weights.slice(begin, begin + touches).reduce((all, weight) => all + weight, 0);
    if (sum === WEIGHT_UNITS) continue;
    return `play ${play.play_id}: the weights of a model sum to ${sum / WEIGHT_UNITS}, not to 1`;
  }
  return null;
}

/** The plays that a unit made, as the audit sees them. */
export class MadePlays {
  readonly #appender: DuckDBAppender;

  constructor(appender: DuckDBAppender) {
    this.#appender = appender;
  }

  add(key: number, startedAt: number, endedAt: number): void {
    this.#appender.appendInteger(key);
    this.#appender.appendBigInt(BigInt(startedAt));
    this.#appender.appendBigInt(BigInt(endedAt));
    this.#appender.endRow();
  }

  close(): void {
    this.#appender.closeSync();
  }
}

export async function createMadePlays(engine: DuckDBConnection): Promise<MadePlays> {
  await engine.run('create temp table made (key INTEGER, started BIGINT, ended BIGINT)');
  return new MadePlays(await engine.createAppender('made'));
}

export interface AuditScope {
  records: Records;
  /** The days that are covered once the attempt is committed. */
  days: readonly string[];
  rules: Rules;
}

/**
 * Counts the counted events of the unit from the raw files, by SQL of its own, and looks each of them up among the plays that
 * were made: each that lies in a covered day and in the times asked for must lie in exactly one.
 */
export async function auditUnit(
  engine: DuckDBConnection,
  { records, days, rules }: AuditScope,
): Promise<{ events: number; found: string[] }> {
  const [{ lo, hi }] = await rowsOf<{ lo: number | null; hi: number | null }>(
    engine,
    'select min(lo) as lo, max(hi) as hi from keys',
  );
  const raw = lo === null || hi === null ? null : await recordsBetween(records, lo - rules.flagMemory, hi);
  if (raw === null) return { events: 0, found: [] };
  const said = (column: string) =>
    `case when max(case when ${column} is not null then t end) over earlier >= t - ${rules.flagMemory}
       then last_value(${column} ignore nulls) over earlier end`;
  // A window by a range of rows: of one time, the order of actions, then of ids.
  await engine.run(
    `create temp table counted as
     with played as (
       select k.key, k.lo, k.hi, r.event_time as t, r.playback_id, r.event_id, r.kind, r.muted_autoplay as muted,
         list_position(['start', 'resume', 'heartbeat', 'pause', 'stop'], r.action) as place
       from ${raw} r join keys k on r.profile_id = k.profile_id and r.work_id = k.work_id
       where r.type = 'playback'
     ), said as (
       select key, lo, hi, t, ${said('kind')} as kind, ${said('muted')} as muted
       from played
       window earlier as (
         partition by key, playback_id order by t, place, ${inCodeUnits('event_id')} rows between unbounded preceding and current row
       )
     )
     select key, t from said
     where coalesce(kind, 'main') = 'main' and not coalesce(muted, false) and t between lo and hi
       and t // ${DAY} in (${days.map(dayNumber).join(', ')})`,
  );
  const [{ events }] = await rowsOf<{ events: number }>(engine, 'select count(*) as events from counted');
  const wrong = await rowsOf<{ profile_id: string; work_id: string; t: number; plays: number }>(
    engine,
    `select any_value(k.profile_id) as profile_id, any_value(k.work_id) as work_id, c.t, count(m.key) as plays
     from (select distinct key, t from counted) c
     join keys k on k.key = c.key
     left join made m on m.key = c.key and c.t between m.started and m.ended
     group by c.key, c.t having count(m.key) <> 1
     order by c.t limit 5`,
  );
  return {
    events,
    found: wrong.map(
      ({ profile_id, work_id, t, plays }) =>
        `the event of profile ${profile_id}, work ${work_id} at ${new Date(t).toISOString()} (${utcDay(t)}) is in ${plays} plays`,
    ),
  };
}
