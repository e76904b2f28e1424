/** What Postgres serves, in the shape of the oracle's answer. */

import { expect } from 'vitest';
import type { Pool } from '../../platform/postgres.ts';
import { byCodeUnit } from '../oracle/order.ts';
import { oracle, type LogRecord, type Mode, type OracleAnswer } from '../oracle/oracle.ts';

type Row = Record<string, unknown>;

const NOT_COMPARED = new Set(['play_id', 'layer', 'policy', 'generation', 'state']);

/** The served plays, discoveries and credits in the oracle's order, with the columns that it has. */
export async function served(pool: Pool): Promise<OracleAnswer> {
  const { rows: plays } = await pool.query<Row>(`
    select p.*, s.orphan_token, s.touches_omitted,
      (select coalesce(json_agg(json_build_object(
         'impression_id', t.impression_id, 'surface', t.surface, 'row_type', t.row_type, 'row_id', t.row_id,
         'row_rank', t.row_rank, 'position', t.position,
         'touched_at', (extract(epoch from t.touched_at) * 1000)::bigint
       ) order by t.place), '[]') from unnest(s.path_impression_id, s.path_surface, s.path_row_type, s.path_row_id,
         s.path_row_rank, s.path_position, s.path_touched_at)
         with ordinality t(impression_id, surface, row_type, row_id, row_rank, position, touched_at, place)) as path
    from whence.plays p join whence.served_plays s using (play_id)
    order by p.profile_id collate "C", p.work_id collate "C", p.started_at`);
  const { rows: discoveries } = await pool.query<Row>(`
    select d.*, p.started_at from whence.discoveries d join whence.plays p using (play_id)
    order by d.profile_id collate "C", d.work_id collate "C"`);
  const { rows: credits } = await pool.query<Row>(`
    select p.profile_id, p.work_id, p.started_at, c.* from whence.credits c join whence.plays p using (play_id)
    order by p.profile_id collate "C", p.work_id collate "C", p.started_at,
      array_position(array['last_touch', 'first_touch', 'linear', 'position_based', 'time_decay'], c.model),
      c.touch_index`);
  return {
    plays: plays.map(comparable).sort(byKey),
    discoveries: discoveries.map(comparable).sort(byKey),
    credits: credits.map(comparable).sort(byKey),
  } as unknown as OracleAnswer;
}

/** The oracle's order of strings is by code unit, which in Postgres none is; the rest of the order stays. */
function byKey(a: Row, b: Row): number {
  const [one, other] = [a, b].map((row) => [row['profile_id'], row['work_id']] as [string, string]);
  return byCodeUnit(one[0], other[0]) || byCodeUnit(one[1], other[1]);
}

function comparable(row: Row): Row {
  const entries = Object.entries(row).filter(([name]) => !NOT_COMPARED.has(name));
  return Object.fromEntries(entries.map(([name, value]) => [name, value instanceof Date ? value.getTime() : value]));
}

/** Fails where what is served is not what the oracle makes of the log, by default in speed mode, row for row. */
export async function expectServed(pool: Pool, log: LogRecord[], mode: Mode = 'speed'): Promise<OracleAnswer> {
  const expected = oracle(log, mode);
  const answer = await served(pool);
  expect(answer.plays.length).toBe(expected.plays.length);
  answer.plays.forEach((play, i) => expect(play).toEqual(expected.plays[i]));
  expect(answer.credits.length).toBe(expected.credits.length);
  answer.credits.forEach((credit, i) => {
    const { weight } = expected.credits[i];
    expect({ ...credit, weight }).toEqual(expected.credits[i]);
    expect(Math.abs(credit.weight - weight)).toBeLessThan(2e-9);
  });
  expect(answer.discoveries).toEqual(expected.discoveries);
  return expected;
}

/** Fails where the daily rollup, which is kept ready, is not what a group-by over all plays gives. */
export async function expectRollup(pool: Pool): Promise<void> {
  const order = 'order by day, country collate "C", sod_surface collate "C", sod_row_type collate "C"';
  const { rows: kept } = await pool.query(`select * from whence.daily_discovery ${order}`);
  const { rows: grouped } = await pool.query(
    `select day, country, sod_surface, sod_row_type, count(*) as plays, count(*) filter (where qualified) as
       qualified_plays, count(*) filter (where is_discovery) as discoveries,
       (sum(watched_ms) / 3600000.0)::double precision as watched_hours
     from whence.plays group by 1, 2, 3, 4 ${order}`,
  );
  expect(kept).toEqual(grouped);
}
