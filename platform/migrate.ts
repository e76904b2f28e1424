import fs from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Knex } from 'knex';
import { openClient, postgresError, type Queryable } from './postgres.ts';
import { ROOT } from './root.ts';

const MIGRATIONS = path.join(ROOT, 'migrations');
const SCHEMA = 'whence';
const TABLE = 'migrations';
/** Any number that nothing else in the database locks. */
const ADVISORY_LOCK = 8_234_950_127;

/** The database was migrated by a newer whence than this one. */
export class NewerSchemaError extends Error {
  override readonly name = 'NewerSchemaError';
  constructor(unknown: readonly string[]) {
    super(
      `The database has migrations that this version of whence does not know (${unknown.join(', ')}); ` +
        'use the version of whence that made them, or a newer one',
    );
  }
}

/** The database lacks migrations of this whence. */
export class OutdatedSchemaError extends Error {
  override readonly name = 'OutdatedSchemaError';
  constructor(missing: readonly string[]) {
    super(`The database is not up to date (missing: ${missing.join(', ')}); run: npx whence migrate`);
  }
}

/** A migration failed; nothing of it remains. */
export class MigrationFailedError extends Error {
  override readonly name = 'MigrationFailedError';
  constructor(migration: string, cause: unknown) {
    super(`Migration ${migration} failed: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

export interface MigrateOptions {
  /** Where the migrations are; for tests. */
  directory?: string;
}

/**
 * Brings the database to the current schema: runs what `migrations/` has and the database has not, in order, each in a
 * transaction. Any number of processes may do so at once; the others wait. Returns the names of what was applied.
 *
 * @throws NewerSchemaError where the database is ahead of this code, MigrationFailedError, PostgresUnavailableError where it cannot be reached
 */
export async function migrate(databaseUrl: string, options: MigrateOptions = {}): Promise<string[]> {
  const directory = options.directory ?? MIGRATIONS;
  // The lock belongs to this session: a migration that was killed leaves none behind.
  const lock = await openClient(databaseUrl, 'whence-migrate');
  try {
    await lock.query('select pg_advisory_lock($1)', [ADVISORY_LOCK]);
    await lock.query(`create schema if not exists ${SCHEMA}`);
    refuseNewer(await migrationNames(directory), await appliedMigrations(lock));
    return await runKnex(databaseUrl, directory);
  } catch (error) {
    throw postgresError(error, databaseUrl);
  } finally {
    await lock.end();
  }
}

/**
 * Makes sure that the schema is the one of this code.
 *
 * @throws OutdatedSchemaError where migrations are missing, NewerSchemaError where the database has unknown ones
 */
export async function checkSchema(database: Queryable): Promise<void> {
  const known = await migrationNames(MIGRATIONS);
  const applied = new Set(await appliedMigrations(database));
  refuseNewer(known, [...applied]);
  const missing = known.filter((name) => !applied.has(name));
  if (missing.length > 0) throw new OutdatedSchemaError(missing);
}

/** The names of all migrations, in the order in which they apply. */
export async function migrationNames(directory: string = MIGRATIONS): Promise<string[]> {
  const files = await fs.readdir(directory);
  return files
    .filter((file) => /^\d{4}_\w+\.ts$/.test(file))
    .sort()
    .map((file) => path.basename(file, '.ts'));
}

async function appliedMigrations(database: Queryable): Promise<string[]> {
  const { rows: tables } = await database.query<{ there: boolean }>('select to_regclass($1) is not null as there', [
    `${SCHEMA}.${TABLE}`,
  ]);
  if (!tables[0]?.there) return [];
  const { rows } = await database.query<{ name: string }>(`select name from ${SCHEMA}.${TABLE} order by id`);
  return rows.map((row) => row.name);
}

function refuseNewer(known: readonly string[], applied: readonly string[]): void {
  const unknown = applied.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new NewerSchemaError(unknown);
}

async function runKnex(databaseUrl: string, directory: string): Promise<string[]> {
  // Loaded here: whoever only checks the schema needs none of it.
  const { default: knex } = await import('knex');
  const database = knex({
    client: 'pg',
    connection: { connectionString: databaseUrl, application_name: 'whence-migrate' },
    pool: { min: 0, max: 1 },
    // Knex would print the errors that it throws.
    log: { debug() {}, warn() {}, error() {}, deprecate() {} },
  });
  const config: Knex.MigratorConfig = {
    schemaName: SCHEMA,
    tableName: TABLE,
    migrationSource: {
      getMigrations: () => migrationNames(directory),
      getMigrationName: (name: string) => name,
      getMigration: (name: string) => loadMigration(directory, name),
    },
  };
  try {
    // Under the advisory lock nobody else migrates: what knex's own lock still says was left by one that was killed.
    await database.migrate.forceFreeMigrationsLock(config);
    const [, applied] = (await database.migrate.latest(config)) as [number, string[]];
    return applied;
  } finally {
    await database.destroy();
  }
}

async function loadMigration(directory: string, name: string): Promise<Knex.Migration> {
  // Ours are named in a way that a bundle can take them along.
  const migration = (
    directory === MIGRATIONS
      ? await import(`../migrations/${name}.ts`)
      : await import(pathToFileURL(path.join(directory, `${name}.ts`)).href)
  ) as Knex.Migration;
  return {
    ...migration,
    async up(transaction) {
      try {
        await migration.up(transaction);
      } catch (error) {
        throw new MigrationFailedError(name, error);
      }
    },
  };
}
