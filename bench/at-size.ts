/**
 * What people and the stream feel of a large batch view: `npx tsx bench/at-size.ts [plays] [plays of a commit]`. Plays over 30 days,
 * of which batch covers the first 27 and the speed layer alone has the last 3; then the 28th is committed, and rolled back, while
 * others read and write.
 *
 * The plays are made by SQL, in tables without a log of writes (which only makes it quicker to make them).
 */

import { defaultPolicy } from '../attribution/policy.ts';
import { commitAttempt } from '../batch/commit-attempt.ts';
import { rollback } from '../batch/rollback.ts';
import { PLAY_COLUMNS } from '../batch/sql/play-columns.ts';
import { sumStaged } from '../batch/sql/audit-staged.ts';
import { createDatabase, startTestStack } from '../local/testing.ts';
import { DailyMove, dailyShares, moveDaily } from '../merge/daily.ts';
import { settleDiscoveries } from '../merge/discoveries.ts';
import { keySetOf } from '../merge/keys.ts';
import { shareMerge } from '../merge/locks.ts';
import { noteKeys } from '../merge/noting.ts';
import { registerPolicy } from '../merge/register-policy.ts';
import { silentLogger } from '../platform/log.ts';
import { openPool, type Pool, withTransaction } from '../platform/postgres.ts';
import { openLocalStorage } from '../platform/storage.ts';

const PLAYS = Number(process.argv[2] ?? 10_000_000);
const DAYS = 30;
const COVERED = 27;
const A_DAY = Math.ceil(PLAYS / DAYS);
const COMMITTED = Number(process.argv[3] ?? A_DAY);
const PROFILES = Math.ceil(PLAYS / 200);
const FIRST = '2025-11-01';
const POLICY = defaultPolicy.hash;

const stack = await startTestStack({ services: ['postgres'] });
try {
  const databaseUrl = await createDatabase(stack.postgres.databaseUrl);
  const log = silentLogger();
  const pool = await openPool({ databaseUrl, applicationName: 'bench', log });
  await makePlays(pool);
  await askQuestions(pool);
  const storage = await openLocalStorage(stack.directory);
  const attempt = await stageDay(pool);
  const deps = { pool, storage, policy: defaultPolicy, log, scratch: stack.directory };
  await besideOthers(pool, `committing a day of ${COMMITTED.toLocaleString('en')} plays`, (onStep) =>
    commitAttempt(deps, attempt, { onStep }),
  );
  await besideOthers(pool, 'rolling it back', (onStep) => rollback(deps, 1, 'bench', { onStep }));
  await pool.end();
} finally {
  await stack.stop();
}

/** Tells when each step was reached, and what others who read and write meanwhile felt of it. */
async function besideOthers(
  pool: Pool,
  what: string,
  work: (onStep: (step: string) => void) => Promise<unknown>,
): Promise<void> {
  const others = [askAgain(pool), writeAgain(pool)];
  const begun = performance.now();
  const steps: string[] = [];
  await work((step) => void steps.push(`${step} ${((performance.now() - begun) / 1000).toFixed(1)} s`));
  console.log(`${what}: ${steps.join(', ')}`);
  for (const other of others) console.log(await other.stop());
}

/** A play of number `i`, on day number `day` from the first. */
function playSql(i: string, day: string): Record<string, string> {
  const start = `('${FIRST} 00:00:00+00'::timestamptz + ${day} * interval '1 day' + (${i} * 7919::bigint % 79200) * interval '1 s')`;
  const source = (prefix: string) => ({
    [`${prefix}_surface`]: `'home'`,
    [`${prefix}_class`]: `'discovery'`,
    [`${prefix}_row_type`]: `(array['trending', 'top_10', 'genre', 'top_picks', 'because_you_watched'])[1 + ${i} % 5]`,
    [`${prefix}_row_id`]: `'row-' || ${i} % 50`,
    [`${prefix}_row_rank`]: `${i} % 20`,
    [`${prefix}_position`]: `${i} % 40`,
    [`${prefix}_impression_id`]: `'i-' || ${i}`,
    [`${prefix}_evidence`]: `'inferred'`,
  });
  return {
    play_id: `md5(${i} || '/' || ${day})::uuid`,
    profile_id: `'profile-' || ${i} % ${PROFILES}`,
    work_id: `'title-' || (${i} / ${PROFILES} * 31 + ${day}) % 150`,
    playback_id: `'b-' || ${i}`,
    playback_ids: `array['b-' || ${i}]`,
    title_id: `'title-' || (${i} / ${PROFILES} * 31 + ${day}) % 150`,
    country: `(array['US', 'DE', 'BR', 'IN', 'JP'])[1 + ${i} % 5]`,
    device_type: `'tv'`,
    day: `'${FIRST}'::date + ${day}`,
    started_at: start,
    ended_at: `${start} + interval '25 minutes'`,
    watched_ms: '1500000',
    qualified: `${i} % 10 > 0`,
    inferred_start: 'false',
    inferred_end: 'false',
    ...source('sop'),
    ...source('own'),
    own_assisted: 'false',
    orphan_token: 'false',
    rule: `'last_impression'`,
    policy: `'${POLICY}'`,
    path_impression_id: `array['i-' || ${i}, 'j-' || ${i}]`,
    path_surface: `array['home', 'home']`,
    path_row_type: `array['trending', 'top_10']`,
    path_row_id: `array['row-1', 'row-2']`,
    path_row_rank: 'array[1, 2]',
    path_position: 'array[3, 4]',
    path_touched_at: `array[${start} - interval '1 day', ${start} - interval '1 minute']`,
    path_weights: `'{${Array.from({ length: defaultPolicy.models.length * 2 }, () => 500_000_000).join(',')}}'::integer[]`,
    touches_omitted: '0',
    narrow: 'null::jsonb',
  };
}

async function insertPlays(
  pool: Pool,
  table: string,
  extra: Record<string, string>,
  days: string,
  plays = A_DAY,
): Promise<void> {
  const sql = playSql('i', 'd');
  const names = PLAY_COLUMNS.filter((name) => table !== 'speed_plays' || name !== 'narrow');
  await pool.query(
    `insert into whence.${table} (${[...names, ...Object.keys(extra)].join(', ')})
     select ${[...names.map((name) => sql[name]), ...Object.values(extra)].join(', ')}
     from generate_series(${days}) d, generate_series(0, ${plays - 1}) i`,
  );
}

async function makePlays(pool: Pool): Promise<void> {
  const begun = performance.now();
  await registerPolicy(pool, defaultPolicy);
  for (const table of ['batch_plays', 'speed_plays', 'key_discoveries'])
    await pool.query(`alter table whence.${table} set unlogged`);
  await pool.query(`insert into whence.batch_versions
    (version, parent, cause, actor, positions, watermark, copies, days_changed, plays_changed, dirty_keys)
    values (1, 0, 'bench', 'bench', '[{"topic":"events","partition":0,"log":0,"next":1000}]', '2025-11-29', '{}', ${COVERED}, 0, 0)`);
  await pool.query(`insert into whence.batch_head (version, watermark, stitching_gap, final_after, settled)
    values (1, '2025-11-29', '30 minutes', '40 minutes', 1)`);
  await pool.query(`insert into whence.batch_horizons values ('events', 0, 1000)`);
  await pool.query(`insert into whence.batch_days (day, from_version, generation, policy, plays)
    select '${FIRST}'::date + d, 1, 1, '${POLICY}', ${A_DAY} from generate_series(0, ${COVERED - 1}) d`);
  await pool.query(
    `insert into whence.speed_tasks (task, epoch, final_after, watermark) values (0, 1, '40 minutes', '2025-12-05')`,
  );
  // Whatever else finds plays is made when they are there: that is quicker.
  const { rows: indexes } = await pool.query<{ name: string; made_by: string }>(
    `select indexname as name, indexdef as made_by from pg_indexes
     where schemaname = 'whence' and tablename = 'batch_plays' and indexname <> 'batch_plays_pkey'`,
  );
  for (const { name } of indexes) await pool.query(`drop index whence.${name}`);
  await insertPlays(pool, 'batch_plays', { from_version: '1' }, `0, ${COVERED - 1}`);
  for (const { made_by } of indexes) await pool.query(made_by);
  const uncovered = {
    task: '0',
    event_topics: `array['events']`,
    event_offsets: 'array[case d when 27 then 999 else 2000 end]',
  };
  await insertPlays(pool, 'speed_plays', uncovered, `${COVERED}, ${COVERED}`, COMMITTED);
  await insertPlays(pool, 'speed_plays', uncovered, `${COVERED + 1}, ${DAYS - 1}`);
  for (const table of ['batch_plays', 'speed_plays']) await pool.query(`vacuum analyze whence.${table}`);
  // As the views say it, where no play is near another of its key: read as a whole they would take far longer.
  const of = (layer: string) =>
    `select profile_id, work_id, play_id, started_at, day, country, qualified, watched_ms, own_surface, own_class, own_row_type,
       own_row_id, own_row_rank, own_position, own_impression_id, own_evidence, own_assisted, '${layer}' as layer
     from whence.${layer}_plays`;
  await pool.query(`create view whence.bench_plays as ${of('batch')} union all ${of('speed')}`);
  await pool.query(
    `insert into whence.key_discoveries (profile_id, work_id, play_id, discovered_at, sod_surface, sod_class, sod_row_type, sod_row_id,
       sod_row_rank, sod_position, sod_impression_id, sod_evidence, assisted, layer, by_batch, settled)
     select distinct on (profile_id, work_id) profile_id, work_id, play_id, started_at, own_surface, own_class, own_row_type, own_row_id,
       own_row_rank, own_position, own_impression_id, own_evidence, own_assisted, layer, layer = 'batch', 1
     from whence.bench_plays where qualified order by profile_id, work_id, started_at`,
  );
  await pool.query('vacuum analyze whence.key_discoveries');
  await pool.query(
    `insert into whence.daily_shares (writer, day, layer, country, sod_surface, sod_row_type, plays, qualified_plays, discoveries, watched_ms)
     select case p.layer when 'batch' then -1 else 0 end, p.day, p.layer, p.country,
       case when d.play_id is null then p.own_surface else d.sod_surface end,
       case when d.play_id is null then p.own_row_type else d.sod_row_type end,
       count(*), count(*) filter (where p.qualified), count(*) filter (where d.play_id = p.play_id), sum(p.watched_ms)
     from whence.bench_plays p left join whence.key_discoveries d
       on d.profile_id = p.profile_id and d.work_id = p.work_id and d.discovered_at <= p.started_at
     group by 1, 2, 3, 4, 5, 6`,
  );
  await pool.query('drop view whence.bench_plays');
  await pool.query('vacuum analyze whence.daily_shares');
  const { rows } = await pool.query<{ size: string }>(
    'select pg_size_pretty(pg_database_size(current_database())) as size',
  );
  console.log(
    `${PLAYS.toLocaleString('en')} plays made in ${((performance.now() - begun) / 1000).toFixed(0)} s: ${rows[0].size}`,
  );
}

async function askQuestions(pool: Pool): Promise<void> {
  const day = (number: number) => `'${FIRST}'::date + ${number}`;
  const questions: [string, (i: number) => string][] = [
    ['plays of a profile', (i) => `select * from whence.plays where profile_id = 'profile-${(i * 37) % PROFILES}'`],
    [
      'plays of a profile and a work',
      (i) => `select * from whence.plays where profile_id = 'profile-${i}' and work_id = 'title-3'`,
    ],
    [
      'discoveries of a profile',
      (i) => `select * from whence.discoveries where profile_id = 'profile-${(i * 41) % PROFILES}'`,
    ],
    ['daily_discovery of a covered day', (i) => `select * from whence.daily_discovery where day = ${day(i % COVERED)}`],
    [
      'daily_discovery of an uncovered day',
      (i) => `select * from whence.daily_discovery where day = ${day(COVERED + (i % 3))}`,
    ],
    ['daily_discovery of 30 days', () => 'select * from whence.daily_discovery'],
    ['days', () => 'select * from whence.days'],
  ];
  for (const [name, sql] of questions) {
    const times: number[] = [];
    let found = 0;
    for (let i = 0; i < 20; i++) {
      const begun = performance.now();
      found = (await pool.query(sql(i))).rows.length;
      times.push(performance.now() - begun);
    }
    times.sort((a, b) => a - b);
    console.log(`${name}: median ${times[10].toFixed(1)} ms, longest ${times[19].toFixed(1)} ms (${found} rows)`);
  }
}

/** The 28th day, staged as its units would have: the speed layer has it already. */
async function stageDay(pool: Pool): Promise<number> {
  const positions = JSON.stringify([{ topic: 'events', partition: 0, log: 0, next: 1500 }]);
  const { rows } = await pool.query<{ attempt: number }>(
    `insert into whence.batch_attempts (owner, parent, days, cause, actor, policy, positions, watermark, copies, dirty_keys, records)
     values ('bench', 1, array['${FIRST}'::date + ${COVERED}], 'bench', 'bench', '${POLICY}', $1, '2025-12-01', '{}', 0, 0)
     returning attempt`,
    [positions],
  );
  const [{ attempt }] = rows;
  await pool.query(
    `insert into whence.batch_units (attempt, unit, spec)
     values (${attempt}, 0, jsonb_build_object('kind', 'day', 'day', ('${FIRST}'::date + ${COVERED})::text, 'from', 0, 'to', 255))`,
  );
  await insertPlays(
    pool,
    'batch_staged_plays',
    { attempt: `${attempt}`, unit: '0' },
    `${COVERED}, ${COVERED}`,
    COMMITTED,
  );
  await pool.query('vacuum analyze whence.batch_staged_plays');
  const staged = (await sumStaged(pool, attempt, [0])).get(0);
  await pool.query('update whence.batch_units set result = $1', [
    JSON.stringify({ plays: COMMITTED, events: 0, findings: [], staged }),
  ]);
  // Whoever is asked of a day that is five times another's is not believed.
  await pool.query(
    `insert into whence.volume_exceptions (day, because) values ('${FIRST}'::date + ${COVERED}, 'bench')`,
  );
  return attempt;
}

/** Does something again and again, until it is stopped. */
function again(name: string, work: (i: number) => Promise<unknown>): { stop(): Promise<string> } {
  const stopping = new AbortController();
  const times: number[] = [];
  const done = (async () => {
    for (let i = 0; !stopping.signal.aborted; i++) {
      const begun = performance.now();
      await work(i);
      times.push(performance.now() - begun);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  return {
    async stop() {
      stopping.abort();
      await done;
      times.sort((a, b) => a - b);
      const at = (share: number) => times[Math.floor((times.length - 1) * share)].toFixed(0);
      return `${name}, meanwhile ${times.length} times: median ${at(0.5)} ms, longest ${at(1)} ms`;
    },
  };
}

function askAgain(pool: Pool): { stop(): Promise<string> } {
  return again('plays of a profile', (i) =>
    pool.query(`select * from whence.plays where profile_id = 'profile-${(i * 13) % PROFILES}'`),
  );
}

/** As the speed layer commits: 50 plays of the last day, one after the other changed. */
function writeAgain(pool: Pool): { stop(): Promise<string> } {
  return again('a commit of the speed layer with 50 plays', (i) =>
    withTransaction(pool, async (client) => {
      await shareMerge(client);
      const ids = Array.from({ length: 50 }, (_, n) => (i * 50 + n) % A_DAY);
      const { rows } = await client.query<{ profile_id: string; work_id: string }>(
        `select distinct profile_id, work_id from whence.speed_plays
         where play_id in (select md5(i || '/' || ${DAYS - 1})::uuid from unnest($1::int[]) i)`,
        [ids],
      );
      const keys = keySetOf(rows);
      await noteKeys(client, keys);
      const before = await dailyShares(client, keys);
      await client.query(
        `update whence.speed_plays set watched_ms = watched_ms + 1000
         where play_id in (select md5(i || '/' || ${DAYS - 1})::uuid from unnest($1::int[]) i)`,
        [ids],
      );
      await settleDiscoveries(client, keys, 'speed');
      await moveDaily(client, 0, new DailyMove().add(before, -1).add(await dailyShares(client, keys), 1));
    }),
  );
}
