import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Event } from '../../attribution/events.ts';
import { abandonAttempt } from '../../batch/abandon-attempt.ts';
import { advance } from '../../batch/advance-here.ts';
import { beginAttempt } from '../../batch/begin-attempt.ts';
import { type BatchCommitStep, commitAttempt } from '../../batch/commit-attempt.ts';
import { computeUnit, type UnitStep } from '../../batch/compute-unit.ts';
import { AttemptGoneError, AuditFailedError, BatchRequestError } from '../../batch/errors.ts';
import { defaultPolicy, compilePolicy } from '../../attribution/policy.ts';
import defaultPolicyFile from '../../attribution/default-policy.json' with { type: 'json' };
import { impression, playback } from '../core/samples.ts';
import { oracle, type LogRecord } from '../oracle/oracle.ts';
import { expectServed } from '../streaming/served.ts';
import { type Ground, LittleWorld, openGround } from './little-world.ts';

const MINUTE = 60_000;
const DAY = '2025-11-24';
const NOON = Date.parse(`${DAY}T12:00:00Z`);

let ground: Ground;
let little: LittleWorld;
beforeAll(async () => {
  ground = await openGround();
});
afterAll(() => ground.stop());

/** Thirty profiles, each with some plays on two days. */
const log: LogRecord[] = Array.from({ length: 60 }, (_, i): Event[] => {
  const at = NOON + (i % 2) * 24 * 60 * MINUTE + i * MINUTE;
  const key = { profile_id: `p${i % 30}`, title_id: `w${i % 7}`, series_id: null };
  const play = { ...playback({ origin: null, kind: null, muted_autoplay: null }), ...key, playback_id: `b${i}` };
  return [
    impression({ ...key, event_id: `i${i}`, event_time: at - MINUTE }),
    { ...play, event_id: `s${i}`, event_time: at, action: 'start' },
    { ...play, event_id: `e${i}`, event_time: at + 3 * MINUTE, action: 'stop' },
  ];
})
  .flat()
  .sort((a, b) => a.event_time - b.event_time)
  .map((event, offset) => ({ topic: 'events', partition: 0, offset, event }));

beforeEach(async () => {
  little = await LittleWorld.create(ground, log);
  await little.stream(0, Infinity);
  await little.archive('events', 0, Infinity);
  await little.fallQuiet('events', 0);
});

const request = { days: [DAY], cause: 'test', actor: 'test', owner: 'test' };

async function versions(): Promise<number> {
  const { rows } = await ground.pool.query<{ n: number }>('select count(*) as n from whence.versions');
  return rows[0].n;
}

class Crash extends Error {}
function crashAt<Step extends string>(at: Step) {
  return (step: Step) => {
    if (step === at) throw new Crash(at);
  };
}

test.each<BatchCommitStep>(['begun', 'written', 'settled', 'before commit', 'committed'])(
  'a commit that ends %s is whole or is not, and done again it is done once',
  async (step) => {
    const { attempt, units } = await beginAttempt(little.deps, request);
    for (let unit = 0; unit < units; unit++) await computeUnit(little.deps, attempt, unit);
    await expect(commitAttempt(little.deps, attempt, { onStep: crashAt(step) })).rejects.toThrow(Crash);
    expect(await versions()).toBe(step === 'committed' ? 1 : 0);
    const first = await commitAttempt(little.deps, attempt);
    expect(await commitAttempt(little.deps, attempt)).toEqual(first);
    expect(await versions()).toBe(1);
    await little.reconcile('2025-11-25');
    await expectServed(ground.pool, log, 'batch');
  },
);

test.each<UnitStep>(['prepare', 'derive', 'stage', 'staged'])(
  'a unit that ends before %s is computed again, as often as it takes',
  async (step) => {
    const { attempt } = await beginAttempt(little.deps, request);
    await expect(computeUnit(little.deps, attempt, 0, { onStep: crashAt(step) })).rejects.toThrow(Crash);
    const [one, other] = await Promise.all([0, 1].map(() => computeUnit(little.deps, attempt, 0)));
    expect(other).toEqual(one);
    expect((await commitAttempt(little.deps, attempt)).plays).toBe(oracleStarts(DAY));
  },
);

function oracleStarts(day: string): number {
  return oracle(log, 'batch').plays.filter((play) => play.day === day).length;
}

test('a unit that is not computed is not forgotten', async () => {
  const { attempt } = await beginAttempt(little.deps, request);
  await expect(commitAttempt(little.deps, attempt)).rejects.toThrow(/units 0 are not computed/);
});

test('an attempt that was given up, or begun again by its owner, takes no more work', async () => {
  const { attempt } = await beginAttempt(little.deps, request);
  const again = await beginAttempt(little.deps, request);
  await expect(computeUnit(little.deps, attempt, 0)).rejects.toThrow(AttemptGoneError);
  await abandonAttempt(little.deps, again.attempt);
  await expect(commitAttempt(little.deps, again.attempt)).rejects.toThrow(AttemptGoneError);
  expect(await versions()).toBe(0);
});

test('what contradicts the raw files is not committed, and says what is wrong', async () => {
  const { attempt } = await beginAttempt(little.deps, request);
  await computeUnit(little.deps, attempt, 0);
  await ground.pool.query(
    `update whence.batch_units set result = jsonb_set(result, '{findings}', '["an event is in 2 plays"]')`,
  );
  await expect(commitAttempt(little.deps, attempt)).rejects.toThrow(AuditFailedError);
  await expect(commitAttempt(little.deps, attempt)).rejects.toThrow(/an event is in 2 plays/);
  expect(await versions()).toBe(0);
});

test('days that are none, and a policy with another stitching gap for some of the days, are refused', async () => {
  await expect(beginAttempt(little.deps, { ...request, days: ['2025-02-30'] })).rejects.toThrow(
    /"2025-02-30" is no day, expected a date such as/,
  );
  await little.reconcile(DAY);
  const other = compilePolicy({ ...defaultPolicyFile, stitching_gap: '20m' });
  const deps = { ...little.deps, policy: other };
  await expect(beginAttempt(deps, { ...request, days: ['2025-11-25'] })).rejects.toThrow(BatchRequestError);
  await expect(beginAttempt(deps, { ...request, days: ['2025-11-25'] })).rejects.toThrow(/another stitching_gap/);
  await expect(advance(deps, { ...request, days: [DAY, '2025-11-25'] })).resolves.toMatchObject({ daysChanged: 2 });
});

test('a policy that changes less applies to the days computed by it', async () => {
  await little.reconcile(DAY);
  const { classes } = defaultPolicyFile;
  const policy = compilePolicy({
    ...defaultPolicyFile,
    classes: {
      ...classes,
      discovery: classes.discovery.filter((slug) => slug !== 'top_picks'),
      continuation: [...classes.continuation, 'top_picks'],
    },
  });
  await advance({ ...little.deps, policy }, { ...request, days: ['2025-11-25'] });
  const { rows } = await ground.pool.query(
    'select day, policy, array_agg(distinct rule) from whence.plays group by 1, 2 order by 1',
  );
  expect(rows).toMatchObject([
    { day: DAY, policy: defaultPolicy.hash },
    { day: '2025-11-25', policy: policy.hash },
  ]);
});

test('computed again without anything new, nothing changes', async () => {
  await little.reconcile(DAY, '2025-11-25');
  const before = await ground.pool.query('select * from whence.plays order by play_id');
  const again = await little.reconcile(DAY, '2025-11-25');
  expect(again).toMatchObject({ version: 2, playsChanged: 0, dirtyKeys: 0 });
  expect((await ground.pool.query('select * from whence.plays order by play_id')).rows).toEqual(before.rows);
});

test('whoever reads while versions are committed sees one of them, never a mixture', async () => {
  await little.reconcile(DAY);
  const second = compilePolicy({ ...defaultPolicyFile, name: 'second', path_touches: 49 });
  const committed = new AbortController();
  let reads = 0;
  const mixed: unknown[] = [];
  const readers = [0, 1].map(async () => {
    while (!committed.signal.aborted) {
      const { rows } = await ground.pool.query<{
        policies: string[];
        plays: number;
        of_days: number;
        discoveries: number;
      }>(
        `select (select array_agg(distinct policy) from whence.plays where layer = 'batch' and day = $1) as policies,
           (select count(*) from whence.plays) as plays,
           (select sum(plays)::bigint from whence.daily_discovery) as of_days,
           (select count(*) from whence.plays where is_discovery) as discoveries,
           (select count(*) from whence.discoveries) as of_keys,
           (select count(*) from whence.versions where current) as current`,
        [DAY],
      );
      reads++;
      const [row] = rows as unknown as {
        policies: string[];
        plays: number;
        of_days: number;
        discoveries: number;
        of_keys: number;
        current: number;
      }[];
      const whole =
        row.policies.length === 1 && row.plays === row.of_days && row.discoveries === row.of_keys && row.current === 1;
      if (!whole) mixed.push(row);
    }
  });
  for (let i = 0; i < 6; i++) {
    const policy = i % 2 === 0 ? second : defaultPolicy;
    await advance({ ...little.deps, policy }, { ...request, days: [DAY] });
  }
  committed.abort();
  await Promise.all(readers);
  expect(mixed).toEqual([]);
  expect(reads).toBeGreaterThan(12);
});
