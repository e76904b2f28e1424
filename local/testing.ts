import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { migrate, migrationNames } from '../platform/migrate.ts';
import { openClient } from '../platform/postgres.ts';
import { ROOT } from '../platform/root.ts';
import { removeKafkaVolume } from './kafka-container.ts';
import { startKafka, type KafkaService } from './kafka.ts';
import { startPostgres, type PostgresService } from './postgres.ts';
import type { Runnable } from './process.ts';
import type { Service, ServiceName, StartOptions } from './service.ts';
import { startTemporal, type TemporalService } from './temporal.ts';

// Real servers for tests, with data and ports of their own, that leave nothing behind.

interface Services {
  postgres: PostgresService;
  kafka: KafkaService;
  temporal: TemporalService;
}

/** The servers that a test asked for. */
export type TestStack<Name extends ServiceName = ServiceName> = Pick<Services, Name> & {
  /** The temporary folder of all of it. */
  readonly directory: string;
  /**
   * Starts a service again after it was killed or stopped: same port, same data. The stack's own entry is replaced by what
   * this returns.
   */
  restart<Restarted extends Name>(name: Restarted): Promise<Services[Restarted]>;
  /** Ends all of it at once and deletes its data. */
  stop(): Promise<void>;
};

export interface TestStackOptions<Name extends ServiceName> {
  services: readonly Name[];
  /** Kafka's heap; 512 MB by default. */
  heapMb?: number;
  /** Whether servers are set up for a short life, which they are by default; a bench that measures them wants them as users have them. */
  brief?: boolean;
  say?: (line: string) => void;
}

/**
 * Starts real servers on free ports with data in a temporary folder, side by side. They end with `stop`, and also when
 * this process ends in any other way, by kill −9 too.
 *
 * @throws what starting a service throws (see `startPostgres`, `startKafka`, `startTemporal`)
 */
export async function startTestStack<const Name extends ServiceName>(
  options: TestStackOptions<Name>,
): Promise<TestStack<Name>> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'whence-test-'));
  // Postgres may run as another user.
  fs.chmodSync(directory, 0o711);
  const watchdog = watchOver(directory);
  const started: Partial<Services> = {};
  const start = async (name: ServiceName, port: number): Promise<Service> => {
    const common: StartOptions = {
      directory: path.join(directory, name),
      port,
      say: options.say ?? (() => {}),
      brief: options.brief ?? true,
      onSpawn: ({ runnable }) => watchdog.add(runnable),
    };
    if (name === 'postgres') return (started.postgres = await startPostgres(common));
    if (name === 'kafka') return (started.kafka = await startKafka({ ...common, heapMb: options.heapMb ?? 512 }));
    return (started.temporal = await startTemporal({ ...common, uiPort: started.temporal?.uiPort ?? 0 }));
  };
  const stop = async () => {
    await Promise.all(Object.values(started).map((service) => service.stop(0)));
    removeKafkaVolume(path.join(directory, 'kafka'));
    fs.rmSync(directory, { recursive: true, force: true });
    watchdog.release();
  };
  const starts = await Promise.allSettled(options.services.map((name) => start(name, 0)));
  const failure = starts.find((result) => result.status === 'rejected');
  if (failure !== undefined) {
    await stop();
    throw failure.reason;
  }
  const stack = {
    directory,
    stop,
    async restart(name: ServiceName) {
      const service = await start(name, started[name]?.port ?? 0);
      Object.assign(stack, { [name]: service });
      return service;
    },
    ...started,
  };
  return stack as unknown as TestStack<Name>;
}

/**
 * A fresh database with the current schema, as the one user there is: a copy of a template that is migrated once for each
 * server. Returns its URL. Any number of tests may ask at once.
 */
export async function createDatabase(serverUrl: string): Promise<string> {
  const template = await templateName();
  const name = `test_${randomUUID().replaceAll('-', '').slice(0, 12)}`;
  const client = await openClient(withDatabase(serverUrl, 'postgres'), 'whence-test');
  try {
    // A template that is being migrated, or copied by another, cannot be copied.
    await client.query("select pg_advisory_lock(hashtext('whence test template'))");
    const { rowCount } = await client.query('select from pg_database where datname = $1', [template]);
    if (rowCount === 0) {
      await client.query(`drop database if exists ${template}_new`);
      await client.query(`create database ${template}_new`);
      await migrate(withDatabase(serverUrl, `${template}_new`));
      await client.query(`alter database ${template}_new rename to ${template}`);
    }
    await client.query(`create database ${name} template ${template}`);
  } finally {
    await client.end();
  }
  return withDatabase(serverUrl, name);
}

/** The same server and user, another database. */
export function withDatabase(databaseUrl: string, database: string): string {
  const url = new URL(databaseUrl);
  url.pathname = `/${database}`;
  return url.href;
}

/** Another set of migrations is another template. */
async function templateName(): Promise<string> {
  const directory = path.join(ROOT, 'migrations');
  const hash = createHash('sha256');
  for (const name of await migrationNames()) hash.update(fs.readFileSync(path.join(directory, `${name}.ts`)));
  return `template_${hash.digest('hex').slice(0, 12)}`;
}

/** Starts the process that ends the servers when this one is gone. */
function watchOver(directory: string): { add: (runnable: Runnable) => void; release: () => void } {
  const script = path.join(ROOT, 'local', 'watchdog.js');
  const child = spawn(process.execPath, [script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  const tell = (message: object) => child.stdin.write(`${JSON.stringify(message)}\n`);
  child.unref();
  (child.stdin as typeof child.stdin & { unref?: () => void }).unref?.();
  tell({ removeFolder: directory });
  return {
    add: (runnable) => void tell({ add: runnable }),
    release: () => child.stdin.end(),
  };
}
