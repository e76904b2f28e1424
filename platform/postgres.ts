import { createHash } from 'node:crypto';
import { Client, Pool as PgPool, types as pgTypes } from 'pg';
import type * as pg from 'pg';
import type { Logger } from './log.ts';
import { redactConnectionStrings } from './redact.ts';

export type Pool = pg.Pool;
export type PoolClient = pg.PoolClient;
/** What both a pool and a client of it can do. */
export type Queryable = Pick<pg.Pool, 'query'>;

/**
 * A statement that each connection plans once: for what is asked many times a second, and whose planning takes as long as its
 * answer. Postgres plans it anew when the statistics of its tables change.
 */
export function prepared(text: string, values: readonly unknown[]): pg.QueryConfig {
  let name = NAMES.get(text);
  if (name === undefined) {
    name = `whence ${createHash('sha256').update(text).digest('hex').slice(0, 24)}`;
    NAMES.set(text, name);
  }
  return { name, text, values: [...values] };
}

/** By text; the texts are few. */
const NAMES = new Map<string, string>();

export interface PoolOptions {
  databaseUrl: string;
  /** Shown in `pg_stat_activity`: `whence-stream`, … */
  applicationName: string;
  log: Logger;
  /** Greatest number of connections; 10 by default. */
  max?: number;
  /**
   * Postgres ends a session that does nothing within a transaction for this long, milliseconds: a process that is frozen there
   * must not hold its locks against whoever takes its place. Without it, such a session lives on.
   */
  frozenAfterMs?: number;
}

/** Postgres cannot be reached, or will not let us in. Names the server, never the password. */
export class PostgresUnavailableError extends Error {
  override readonly name = 'PostgresUnavailableError';
}

/** A bigint that a JavaScript number cannot hold exactly. */
export class UnsafeIntegerError extends Error {
  override readonly name = 'UnsafeIntegerError';
  constructor(value: string) {
    super(`Postgres returned the bigint ${value}, which is beyond ±(2^53 − 1); select it as text`);
  }
}

const INT8 = 20;
const INT8_ARRAY = 1016;
const DATE = 1082;
const DATE_ARRAY = 1182;
const TEXT_ARRAY = 1009;

/**
 * How values of Postgres become JavaScript's, for every connection of whence: `int8` a number (it throws where that would
 * be inexact), `date` the text YYYY-MM-DD (never a `Date` at local midnight), `timestamptz` a `Date`, `numeric` its text.
 */
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') => {
    if (format !== 'binary') {
      if (oid === INT8) return safeInteger;
      if (oid === INT8_ARRAY) return (value: string) => textArray(value).map((item) => item && safeInteger(item));
      if (oid === DATE) return (value: string) => value;
      if (oid === DATE_ARRAY) return textArray;
    }
    return defaultParser(oid, format);
  }) as typeof pgTypes.getTypeParser,
};

// The types of node-postgres list a few oids only.
const defaultParser = pgTypes.getTypeParser as (oid: number, format?: string) => (value: string) => unknown;
const textArray = defaultParser(TEXT_ARRAY, 'text') as (value: string) => (string | null)[];

function safeInteger(value: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new UnsafeIntegerError(value);
  return number;
}

/** The settings that every connection of whence has, pooled or not. */
export function clientConfig(databaseUrl: string, applicationName: string): pg.ClientConfig {
  return { connectionString: databaseUrl, application_name: applicationName, types, connectionTimeoutMillis: 10_000 };
}

/**
 * Opens a pool and makes sure that the server answers. Sessions run in UTC, so that a day in SQL is a UTC day.
 *
 * @throws PostgresUnavailableError where the server refuses, is not there within 10 s, or does not accept the credentials
 */
export async function openPool(options: PoolOptions): Promise<Pool> {
  const config: pg.PoolConfig = {
    ...clientConfig(options.databaseUrl, options.applicationName),
    max: options.max ?? 10,
    // The pool waits for the promise, although its types do not say so.
    onConnect: (client) =>
      client.query(
        `set timezone to 'UTC'; set idle_in_transaction_session_timeout to ${Math.trunc(options.frozenAfterMs ?? 0)}`,
      ) as unknown as void,
  };
  const pool = createPool(config, options.log);
  try {
    (await pool.connect()).release();
  } catch (error) {
    await pool.end();
    throw postgresError(error, options.databaseUrl);
  }
  return pool;
}

function createPool(config: pg.PoolConfig, log: Logger): Pool {
  const pool = new PgPool(config);
  // Without listeners, the loss of a connection would end the process: pg has one for idle connections of its own, none for
  // those in someone's hands. These fail at their next query; the pool makes new ones.
  // A server that goes away takes all of them at once: what is then wrong is said by whoever needs one.
  pool.on('error', (error) => log.debug({ err: error }, 'lost an idle Postgres connection'));
  pool.on('connect', (client) => void client.on('error', ignoreHere));
  return pool;
}

/**
 * A pool beside another, for the same small transactions over and over: its connections take statements before those sent
 * earlier are answered (`Statements`), and plan a prepared statement once. Left to itself, Postgres planned statements that take
 * a list of keys anew each time, for what it knew of the list's length, which took ten times as long as running them. A plan
 * that was made when a table was small reads no table from end to end, so that it is good when the table has grown.
 *
 * They take no COPY.
 */
export function pipelineBeside(pool: Pool, log: Logger): Pool {
  const { onConnect, ...options } = pool.options as pg.PoolConfig;
  const config: pg.PoolConfig = {
    ...options,
    pipeline: true,
    onConnect: (client) => {
      const asBefore = onConnect?.(client) as unknown as Promise<unknown>;
      const plannedOnce = client.query('set plan_cache_mode to force_generic_plan; set enable_seqscan to off');
      return Promise.all([asBefore, plannedOnce]) as unknown as void;
    },
  };
  return createPool(config, log);
}

/**
 * Opens one connection outside any pool, for locks that live as long as their session.
 *
 * @throws PostgresUnavailableError as `openPool`
 */
export async function openClient(databaseUrl: string, applicationName: string): Promise<Client> {
  const client = new Client(clientConfig(databaseUrl, applicationName));
  client.on('error', ignoreHere);
  try {
    await client.connect();
    await client.query("set timezone to 'UTC'");
    return client;
  } catch (error) {
    await client.end().catch(() => {});
    throw postgresError(error, databaseUrl);
  }
}

/**
 * Opens one more connection to the server of a pool, beside those that it has: whoever holds one and needs another would wait
 * for ever where all of the pool did the same.
 *
 * @throws what `pg` throws where there is no such connection
 */
export async function openBeside(pool: Pool): Promise<Client> {
  const client = new Client(pool.options);
  client.on('error', ignoreHere);
  await client.connect();
  await client.query("set timezone to 'UTC'");
  return client;
}

/** Whoever uses the connection gets the error from its query. */
function ignoreHere(): void {}

export type IsolationLevel = 'read committed' | 'repeatable read' | 'serializable';

/**
 * Runs `work` in one transaction on one connection: committed when it returns, rolled back when it throws, and then the
 * error is passed on as it is. A connection on which even the rollback fails is closed, not reused.
 */
export async function withTransaction<Result>(
  pool: Pool,
  work: (client: PoolClient) => Promise<Result>,
  isolation: IsolationLevel = 'read committed',
): Promise<Result> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query(`begin isolation level ${isolation}`);
    const result = await work(client);
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch((rollbackError: Error) => {
      broken = rollbackError;
    });
    throw error;
  } finally {
    client.release(broken);
  }
}

const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ECONNRESET',
  'ENOENT',
  'EAI_AGAIN',
]);
const INVALID_AUTHORIZATION = new Set(['28000', '28P01']);
const NO_SUCH_DATABASE = '3D000';

/** Turns a failure to connect into a `PostgresUnavailableError` that says where and what to do; others pass unchanged. */
export function postgresError(error: unknown, databaseUrl: string): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  const { host, port, user, database } = new Client({ connectionString: databaseUrl });
  const where = `Postgres at ${host}:${port}`;
  const code = (error as { code?: string }).code ?? '';
  const reason = redactConnectionStrings(error.message || code);
  const fail = (message: string) => new PostgresUnavailableError(message, { cause: error });
  if (INVALID_AUTHORIZATION.has(code)) return fail(`${where} rejects user "${user}" (${reason}); check DATABASE_URL`);
  if (code === NO_SUCH_DATABASE)
    return fail(`${where} has no database "${database}"; create it, or check DATABASE_URL`);
  if (UNREACHABLE.has(code) || /timeout|terminated|SSL|SASL/i.test(error.message)) {
    return fail(`${where} cannot be reached (${reason}); check DATABASE_URL and that the server runs`);
  }
  return error;
}
