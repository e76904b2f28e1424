import { userInfo } from 'node:os';
import type { Client } from '@temporalio/client';
import type { Kafka } from 'kafkajs';
import { resolveAddresses } from '../local/addresses.ts';
import { checkKafka, createKafka, type KafkaOptions } from '../platform/kafka.ts';
import { createLogger, type Logger } from '../platform/log.ts';
import { checkSchema } from '../platform/migrate.ts';
import { openPool, type Pool } from '../platform/postgres.ts';
import { readSettings, secretsOf, type Settings } from '../platform/settings.ts';
import { connectTemporal } from '../platform/temporal.ts';
import { say } from './output.ts';

/** A log for a command that itself says what is to be said: what libraries have to say is shown on demand. */
export function commandLog(name: string, settings: Settings): Logger {
  const level = settings.logLevel === 'info' ? 'silent' : settings.logLevel;
  return createLogger({ name, level, secrets: secretsOf(settings) });
}

/** A Kafka that answered and went away is waited for: about a minute and a half, then it is better to say so. */
export const PATIENCE = { retries: 20, initialRetryTime: 200, maxRetryTime: 5_000 };

export interface WithDatabase {
  settings: Settings;
  pool: Pool;
}

export interface WithTemporal {
  settings: Settings;
  client: Client;
}

export interface WithKafka extends WithDatabase {
  /** Connects when it is used. */
  kafka: Kafka;
  /** What it was made of. */
  client: KafkaOptions;
}

/** Runs `work` with a database of the current schema. */
export async function withDatabase(name: string, work: (servers: WithDatabase) => Promise<void>): Promise<void> {
  const settings = readSettings(process.env);
  const { databaseUrl } = await resolveAddresses(settings, ['postgres'], say);
  await withPool(name, settings, databaseUrl, (pool) => work({ settings, pool }));
}

/**
 * Runs `work` with a database of the current schema, and Kafka.
 *
 * @param optional Kafka need not answer
 */
export async function withDatabaseAndKafka(
  name: string,
  work: (servers: WithKafka) => Promise<void>,
  { optional = false } = {},
): Promise<void> {
  const settings = readSettings(process.env);
  const { databaseUrl, kafka } = await resolveAddresses(settings, ['postgres', 'kafka'], say);
  const client = { ...kafka, clientId: `whence-${name}`, log: commandLog(name, settings) };
  if (!optional) await checkKafka(client);
  await withPool(name, settings, databaseUrl, (pool) =>
    work({ settings, pool, kafka: createKafka({ ...client, retry: PATIENCE }), client }),
  );
}

/** Runs `work` with a client of Temporal. */
export async function withTemporal(name: string, work: (servers: WithTemporal) => Promise<void>): Promise<void> {
  const settings = readSettings(process.env);
  const { temporal } = await resolveAddresses(settings, ['temporal'], say);
  const { client, close } = await connectTemporal({ ...temporal, identity: `${userInfo().username} (whence ${name})` });
  try {
    await work({ settings, client });
  } finally {
    await close();
  }
}

async function withPool(
  name: string,
  settings: Settings,
  databaseUrl: string,
  work: (pool: Pool) => Promise<void>,
): Promise<void> {
  const log = commandLog(name, settings);
  const pool = await openPool({ databaseUrl, applicationName: `whence-${name}`, log, max: 4 });
  try {
    await checkSchema(pool);
    await work(pool);
  } finally {
    await pool.end();
  }
}
