import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { beginAttempt } from '../../batch/begin-attempt.ts';
import { commitAttempt } from '../../batch/commit-attempt.ts';
import { computeUnit } from '../../batch/compute-unit.ts';
import { AuditFailedError } from '../../batch/errors.ts';
import { readBatchStatus } from '../../observe/batch-status.ts';
import { evenings, FIRST_DAY } from './datasets/evening.ts';
import { type Ground, LittleWorld, openGround } from './little-world.ts';

let ground: Ground;
let little: LittleWorld;
beforeAll(async () => {
  ground = await openGround();
});
afterAll(() => ground.stop());
beforeEach(async () => {
  little = await LittleWorld.create(ground, evenings(10));
  await little.archive('events', 0, Infinity);
  await little.stream(0, Infinity);
  await little.reconcile(...little.days);
});

const served = async () => (await ground.pool.query('select * from whence.plays order by play_id')).rows;
const request = { days: [FIRST_DAY], cause: 'test', actor: 'test', owner: 'test' };

/** Computes the day again, breaks what was staged, and commits: the failure, and what is served then. */
async function breaking(sql: string): Promise<AuditFailedError> {
  const before = await served();
  const { attempt, units } = await beginAttempt(little.deps, request);
  for (let unit = 0; unit < units; unit++) await computeUnit(little.deps, attempt, unit);
  await ground.pool.query(sql);
  const failure = await commitAttempt(little.deps, attempt).then(
    () => null,
    (error: unknown) => error,
  );
  expect(failure).toBeInstanceOf(AuditFailedError);
  expect(await served()).toEqual(before);
  const { rows } = await ground.pool.query('select version from whence.versions where current');
  expect(rows).toEqual([{ version: 1 }]);
  const { message } = failure as AuditFailedError;
  const { rows: days } = await ground.pool.query('select failed_at, failure from whence.days where day = $1', [
    FIRST_DAY,
  ]);
  expect(days).toEqual([{ failed_at: expect.any(Date), failure: message }]);
  expect((await readBatchStatus(ground.pool)).failed_days.map(({ day }) => day)).toEqual([FIRST_DAY]);
  return failure as AuditFailedError;
}

const ONE = '(select ctid from whence.batch_staged_plays where cardinality(path_weights) > 0 limit 1)';

test.each([
  [
    'a play that is lost',
    `delete from whence.batch_staged_plays where ctid = ${ONE}`,
    /\d+ plays were audited, \d+ are there/,
  ],
  [
    'a play that is there twice',
    `insert into whence.batch_staged_plays select * from whence.batch_staged_plays where ctid = ${ONE}`,
    /play \S+ is 2 plays/,
  ],
  [
    'weights that do not sum to 1',
    `update whence.batch_staged_plays set path_weights[1] = path_weights[1] + 1 where ctid = ${ONE}`,
    /play \S+: the weights of a model sum to 1\.0*1/,
  ],
  [
    'evidence that is none of the words',
    `update whence.batch_staged_plays set sop_evidence = 'hearsay' where ctid = ${ONE}`,
    /there is no evidence "hearsay"/,
  ],
])('%s fails the commit, says what is wrong, and the version before goes on serving', async (_, sql, words) => {
  expect((await breaking(sql)).message).toMatch(words);
});

test('a day with far fewer plays than its neighbours fails, until someone says why; then nothing is failed any more', async () => {
  await ground.pool.query('update whence.volume_bounds set least_plays = 10, least_neighbours = 2');
  try {
    // As if the others had had many.
    const failure = await breaking(`update whence.batch_days set plays = plays * 1000 where day <> '${FIRST_DAY}'`);
    expect(failure.message).toMatch(/2025-11-24 has \d+ plays, and the median of its 2 neighbours is \d+/);
    await ground.pool.query(`insert into whence.volume_exceptions (day, because) values ('${FIRST_DAY}', 'a holiday')`);
    await little.reconcile(FIRST_DAY);
    expect((await readBatchStatus(ground.pool)).failed_days).toEqual([]);
  } finally {
    await ground.pool.query('update whence.volume_bounds set least_plays = default, least_neighbours = default');
  }
});
