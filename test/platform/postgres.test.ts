import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase, startTestStack, withDatabase, type TestStack } from '../../local/testing.ts';
import { copyRows } from '../../platform/copy-rows.ts';
import { silentLogger } from '../../platform/log.ts';
import { checkSchema, migrate, migrationNames, NewerSchemaError, OutdatedSchemaError } from '../../platform/migrate.ts';
import {
  openPool,
  PostgresUnavailableError,
  prepared,
  UnsafeIntegerError,
  withTransaction,
  type Pool,
} from '../../platform/postgres.ts';

let stack: TestStack<'postgres'>;
let pool: Pool;
const open = (databaseUrl: string) => openPool({ databaseUrl, applicationName: 'whence-test', log: silentLogger() });

beforeAll(async () => {
  stack = await startTestStack({ services: ['postgres'] });
  pool = await open(await createDatabase(stack.postgres.databaseUrl));
});
afterAll(async () => {
  await pool?.end();
  await stack?.stop();
});

async function emptyDatabase(name: string): Promise<string> {
  await pool.query(`create database ${name}`);
  return withDatabase(stack.postgres.databaseUrl, name);
}

describe('a pool', () => {
  test('reads bigint as a number, date as text, timestamptz as a Date, and works in UTC', async () => {
    const { rows } = await pool.query(`
      select 9007199254740991::int8 as big, array[1, null, 3]::int8[] as bigs, '2026-02-03'::date as day,
             '2026-02-03T04:05:06+01'::timestamptz as at, current_setting('timezone') as zone, 1.5::numeric as exact`);
    expect(rows[0]).toEqual({
      big: 9_007_199_254_740_991,
      bigs: [1, null, 3],
      day: '2026-02-03',
      at: new Date('2026-02-03T03:05:06Z'),
      zone: 'UTC',
      exact: '1.5',
    });
  });

  test('throws where a bigint would lose digits', async () => {
    await expect(pool.query('select 9007199254740993::int8')).rejects.toThrow(UnsafeIntegerError);
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  });

  test('names host and port, and never the password, when Postgres is not there or rejects us', async () => {
    const { port } = stack.postgres;
    const wrong = open(`postgres://whence:hunter22@127.0.0.1:${port}/whence`);
    await expect(wrong).rejects.toThrow(PostgresUnavailableError);
    await expect(wrong).rejects.toThrow(`Postgres at 127.0.0.1:${port} rejects user "whence"`);
    await expect(wrong).rejects.not.toThrow('hunter22');
    const nobody = open('postgres://whence:hunter22@127.0.0.1:1/whence');
    await expect(nobody).rejects.toThrow(/Postgres at 127.0.0.1:1 cannot be reached .*ECONNREFUSED/);
    await expect(nobody).rejects.not.toThrow('hunter22');
    const absent = open(withDatabase(stack.postgres.databaseUrl, 'nothing'));
    await expect(absent).rejects.toThrow('has no database "nothing"');
  });
});

describe('a transaction', () => {
  test('commits what it returns from, and rolls back what throws, passing the error on', async () => {
    await pool.query('create table numbers (n int)');
    const result = await withTransaction(pool, async (client) => {
      await client.query('insert into numbers values (1)');
      return 'done';
    });
    const failure = new Error('after the insert');
    await expect(
      withTransaction(pool, async (client) => {
        await client.query('insert into numbers values (2)');
        throw failure;
      }),
    ).rejects.toBe(failure);
    expect(result).toBe('done');
    expect((await pool.query('select n from numbers')).rows).toEqual([{ n: 1 }]);
  });

  test('gives no broken connection back to the pool', async () => {
    const killed = withTransaction(pool, (client) => client.query('select pg_terminate_backend(pg_backend_pid())'));
    await expect(killed).rejects.toThrow();
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  });
});

test('a prepared statement is planned once a connection, and answers as it would without', async () => {
  const client = await pool.connect();
  try {
    for (const n of [1, 2, 3]) {
      const { rows } = await client.query<{ doubled: number }>(prepared('select $1::int * 2 as doubled', [n]));
      expect(rows).toEqual([{ doubled: n * 2 }]);
    }
    const { rows } = await client.query(
      "select statement, (generic_plans + custom_plans)::int as runs from pg_prepared_statements where name like 'whence %'",
    );
    expect(rows).toEqual([{ statement: 'select $1::int * 2 as doubled', runs: 3 }]);
  } finally {
    client.release();
  }
});

describe('migrations', () => {
  test('apply once, in order, however many processes migrate at once', async () => {
    const url = await emptyDatabase('concurrent');
    const database = await open(url);
    await expect(checkSchema(database)).rejects.toThrow(OutdatedSchemaError);
    const applied = await Promise.all([migrate(url), migrate(url), migrate(url), migrate(url)]);
    expect(applied.flat()).toEqual(await migrationNames());
    expect(await migrate(url)).toEqual([]);
    await checkSchema(database);
    await database.end();
  });

  test('go on after a migration that was killed', async () => {
    const url = await emptyDatabase('interrupted');
    await migrate(url);
    const interrupted = await open(url);
    await interrupted.query('update whence.migrations_lock set is_locked = 1');
    await interrupted.end();
    expect(await migrate(url)).toEqual([]);
  });

  test('leave nothing of one that fails, and say which', async () => {
    const url = await emptyDatabase('failing');
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'whence-migrations-'));
    const migration = `export const up = async (knex) => { await knex.raw('create table whence.half (a int)'); await knex.raw('nonsense'); };
      export const down = async () => {};`;
    fs.writeFileSync(path.join(directory, '0001_broken.ts'), migration);
    await expect(migrate(url, { directory })).rejects.toThrow('Migration 0001_broken failed: nonsense');
    const failed = await open(url);
    expect((await failed.query("select to_regclass('whence.half') as half")).rows).toEqual([{ half: null }]);
    await failed.end();
    fs.rmSync(directory, { recursive: true });
  });

  test('refuse a database that a newer whence has migrated', async () => {
    const url = await emptyDatabase('newer');
    await migrate(url);
    const newer = await open(url);
    await newer.query(
      "insert into whence.migrations (name, batch, migration_time) values ('9999_from_the_future', 9, now())",
    );
    await expect(migrate(url)).rejects.toThrow(NewerSchemaError);
    await expect(migrate(url)).rejects.toThrow('9999_from_the_future');
    await expect(checkSchema(newer)).rejects.toThrow(NewerSchemaError);
    await newer.end();
  });

  test('let the reader see and the writer change what later migrations create, and nobody else', async () => {
    await pool.query('create table whence.later (a bigint generated always as identity, b int)');
    const as = (role: string, sql: string) =>
      withTransaction(pool, async (client) => {
        await client.query(`set local role ${role}`);
        return client.query(sql);
      });
    await as('whence_writer', 'insert into whence.later (b) values (1)');
    expect((await as('whence_reader', 'select b from whence.later')).rows).toEqual([{ b: 1 }]);
    await expect(as('whence_reader', 'delete from whence.later')).rejects.toThrow('permission denied');
    await pool.query('create role somebody nologin');
    await expect(as('somebody', 'select b from whence.later')).rejects.toThrow('permission denied');
  });
});

describe('a test database', () => {
  test('is a copy of its own of the migrated template', async () => {
    const urls = await Promise.all([1, 2, 3].map(() => createDatabase(stack.postgres.databaseUrl)));
    expect(new Set(urls).size).toBe(3);
    for (const url of urls) expect(await migrate(url)).toEqual([]);
  });
});

describe('rows that are copied', () => {
  const text = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom('', 'NULL', 'null', '\\N', '\\.', '{', '"', ',', '\t', '\n', '\r\n', '\\', '\\"', "'", ' '),
  );
  // Postgres has no text with the character 0.
  const word = text.map((found) => found.replaceAll('\0', ''));
  const row = fc.record({
    n: fc.option(fc.maxSafeInteger()),
    yes: fc.option(fc.boolean()),
    word: fc.option(word),
    words: fc.option(fc.array(fc.option(word), { maxLength: 4 })),
    numbers: fc.array(fc.option(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })), { maxLength: 4 }),
    said: fc.option(fc.dictionary(word, fc.option(word), { maxKeys: 3 })),
  });
  type Row = typeof row extends fc.Arbitrary<infer Found> ? Found : never;
  const columns = ['place', 'n', 'yes', 'word', 'words', 'numbers', 'said'];
  const create = `create temp table copied
    (place integer, n bigint, yes boolean, word text, words text[], numbers integer[], said json) on commit drop`;

  test('are what was given, whatever characters, nulls and arrays', async () => {
    const rows = fc.sample(row, { numRuns: 3_000, seed: 20_251_124 });
    const numbered: [number, Row][] = rows.map((each, place) => [place, each]);
    const { rows: found } = await withTransaction(pool, async (client) => {
      await client.query(create);
      await copyRows(client, 'copied', columns, numbered, ([place, { n, yes, word: one, words, numbers, said }]) => [
        place,
        n,
        yes,
        one,
        words,
        numbers,
        said,
      ]);
      return client.query('select * from copied order by place');
    });
    expect(found).toEqual(rows.map((each, place) => ({ place, ...each })));
  });

  test('are refused with the error of Postgres, and the connection goes on', async () => {
    await withTransaction(pool, async (client) => {
      await client.query(create);
      await client.query('savepoint before');
      const copied = copyRows(client, 'copied', ['place'], ['one', 'two'], (place) => [place]);
      await expect(copied).rejects.toThrow('invalid input syntax for type integer: "one"');
      await client.query('rollback to before');
      await copyRows(client, 'copied', ['place'], [7], (place) => [place]);
      expect((await client.query('select place from copied')).rows).toEqual([{ place: 7 }]);
    });
  });
});
