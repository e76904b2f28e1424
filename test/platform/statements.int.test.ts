import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { startTestStack, type TestStack } from '../../local/testing.ts';
import { silentLogger } from '../../platform/log.ts';
import { openPool, pipelineBeside, type Pool, prepared } from '../../platform/postgres.ts';
import { isPassing } from '../../platform/passing.ts';
import { type Statements, withStatements } from '../../platform/statements.ts';

let stack: TestStack<'postgres'>;
let pool: Pool;
let pipeline: Pool;
let watcher: Pool;
beforeAll(async () => {
  stack = await startTestStack({ services: ['postgres'] });
  const { databaseUrl } = stack.postgres;
  // One connection each: what a transaction leaves behind is met by the next.
  pool = await openPool({ databaseUrl, applicationName: 'test', log: silentLogger(), max: 1 });
  pipeline = pipelineBeside(pool, silentLogger());
  watcher = await openPool({ databaseUrl, applicationName: 'test', log: silentLogger() });
  await pool.query('create table numbers (n integer check (n <> 13))');
});
afterAll(async () => {
  await Promise.all([pool.end(), pipeline.end(), watcher.end()]);
  await stack.stop();
});

const add = (...numbers: number[]) => prepared('insert into numbers select n from unnest($1::integer[]) n', [numbers]);
const UNWRITABLE = {
  toPostgres() {
    throw new Error('cannot be written');
  },
};
const COUNT = prepared('select count(*) as held from numbers', []);

async function held(): Promise<number[]> {
  const { rows } = await watcher.query<{ n: number }>('select n from numbers order by n');
  return rows.map(({ n }) => n);
}

describe.each([
  ['one after the other', () => pool],
  ['in a pipeline', () => pipeline],
])('statements that are sent %s', (_, of) => {
  beforeEach(() => pool.query('truncate numbers'));

  test('are of one transaction, in order, and each sees what those before it did', async () => {
    await withStatements(of(), async (statements) => {
      void statements.query(add(1));
      const first = statements.query(COUNT);
      void statements.query(add(2, 3));
      const second = statements.query(COUNT);
      expect([(await first).rows, (await second).rows]).toEqual([[{ held: 1 }], [{ held: 3 }]]);
      expect(await held()).toEqual([]);
    });
    expect(await held()).toEqual([1, 2, 3]);
  });

  test('do nothing where one of them fails, whose error it is, and the connection serves on', async () => {
    const failing = withStatements(of(), async (statements) => {
      void statements.send(statements.query(add(1)));
      void statements.send(statements.query(add(13)));
      void statements.send(statements.query(add(14)));
    });
    await expect(failing).rejects.toThrow('violates check constraint');
    await expect(
      withStatements(of(), async (statements) => {
        void statements.query(add(2));
        // Whoever waits for an answer sees that it is none, but why is said by the first.
        void statements.query(prepared('select 1 / 0', []));
        await statements.query(COUNT);
      }),
    ).rejects.toThrow('division by zero');
    await withStatements(of(), async (statements) => void statements.query(add(5)));
    expect(await held()).toEqual([5]);
  });

  test.each<[string, (statements: Statements) => Promise<unknown>]>([
    ['what was begun fails before it is sent', async () => JSON.stringify({ x: 1n })],
    [
      'a value cannot be written',
      (statements) => statements.query(prepared('insert into numbers values ($1)', [UNWRITABLE])),
    ],
    ['an answer cannot be read', (statements) => statements.query(prepared('select 9007199254740993::bigint', []))],
  ])('are taken back where %s', async (_case, fail) => {
    const failing = withStatements(of(), async (statements) => {
      void statements.query(add(1));
      void statements.send(fail(statements));
    });
    await expect(failing).rejects.toThrow();
    expect(await held()).toEqual([]);
    await withStatements(of(), async (statements) => void statements.query(add(7)));
    expect(await held()).toEqual([7]);
  });

  test('are not sent where their transaction does not begin', async () => {
    const client = await of().connect();
    const begin = vi.spyOn(client, 'query').mockImplementationOnce(() => {
      throw new Error('nonsense');
    });
    client.release();
    await expect(withStatements(of(), async (statements) => void statements.query(add(1)))).rejects.toThrow('nonsense');
    begin.mockRestore();
    expect(await held()).toEqual([]);
  });

  test('are taken back where the work on them throws', async () => {
    const failing = withStatements(of(), async (statements) => {
      void statements.query(add(1));
      throw new Error('no more of this');
    });
    await expect(failing).rejects.toThrow('no more of this');
    expect(await held()).toEqual([]);
  });
});

test('a pipeline plans what takes a list once, however long the list is', async () => {
  for (let length = 1; length <= 12; length++) {
    const numbers = Array.from({ length }, (_, index) => index + 100);
    await withStatements(pipeline, async (statements) => void statements.query(add(...numbers)));
  }
  const { rows } = await pipeline.query(
    "select generic_plans, custom_plans from pg_prepared_statements where statement like 'insert into numbers%'",
  );
  expect(rows).toEqual([{ generic_plans: expect.any(Number), custom_plans: 0 }]);
});

test('a connection that breaks in the middle is not used again', async () => {
  const broken = withStatements(pipeline, async (statements) => {
    const { rows } = await statements.query<{ pid: number }>(prepared('select pg_backend_pid() as pid', []));
    await watcher.query('select pg_terminate_backend($1)', [rows[0].pid]);
    await statements.query(add(1));
  });
  await expect(broken).rejects.toSatisfy(isPassing);
  await withStatements(pipeline, async (statements) => void statements.query(COUNT));
});
