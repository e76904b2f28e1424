import fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceStartError } from './errors.ts';
import { end, isRunning, signalTree, type Runnable } from './process.ts';

export type ServiceName = 'postgres' | 'kafka' | 'temporal';

/** What each start of a service takes. */
export interface StartOptions {
  /** Where the service keeps its data, log and configuration; a second start with the same finds its data again. */
  directory: string;
  /** 0 for any free port. */
  port: number;
  /** Told what takes long or is worth knowing, a line at a time. */
  say: (line: string) => void;
  /** It lives for minutes, and is killed at worst: spares what pays off later, or guards against the loss of power. */
  brief?: boolean;
  /** Told of the process as soon as there is one, before it is ready: for whoever must end it, come what may. */
  onSpawn?: (handle: ServiceHandle) => void;
}

/** A real server on this machine that we started. */
export interface Service {
  readonly name: ServiceName;
  readonly port: number;
  readonly runnable: Runnable;
  readonly logFile: string;
  isRunning(): boolean;
  /** Whether it answers a client, now. */
  answers(): Promise<boolean>;
  /** kill −9, to see what survives. Returns once it is gone. */
  kill(): Promise<void>;
  /** SIGSTOP to all of it: it holds its connections and answers nothing. */
  pause(): void;
  /** SIGCONT after `pause`. */
  resume(): void;
  /** Ends it in order; with SIGKILL where it takes longer than the bound (10 s by default, 0 for at once). */
  stop(boundMs?: number): Promise<void>;
}

/** How each service is asked to end: Postgres's SIGINT does not wait for its clients. */
export const POLITE_SIGNALS: Record<ServiceName, NodeJS.Signals> = {
  postgres: 'SIGINT',
  kafka: 'SIGTERM',
  temporal: 'SIGINT',
};

/** As people call them. */
export const SERVICE_TITLES: Record<ServiceName, string> = {
  postgres: 'Postgres',
  kafka: 'Kafka',
  temporal: 'Temporal',
};

const STOP_BOUND_MS = 10_000;

/** Which process a service is, where it listens and logs: all that a later process needs to take it over. */
export interface ServiceHandle {
  runnable: Runnable;
  port: number;
  logFile: string;
  /** Temporal's. */
  uiPort?: number;
}

/**
 * @param answers whether it answers a client; what it throws means that it does not
 */
export function createService(name: ServiceName, handle: ServiceHandle, answers: () => Promise<boolean>): Service {
  const { runnable, port, logFile } = handle;
  return {
    name,
    port,
    runnable,
    logFile,
    answers: async () => answers().catch(() => false),
    isRunning: () => isRunning(runnable),
    kill: () => end(runnable, 'SIGKILL', 0),
    pause: () => void signalTree(runnable, 'SIGSTOP'),
    resume: () => void signalTree(runnable, 'SIGCONT'),
    async stop(boundMs = STOP_BOUND_MS) {
      // A paused process does not hear the polite signal.
      signalTree(runnable, 'SIGCONT');
      await end(runnable, POLITE_SIGNALS[name], boundMs);
    },
  };
}

/**
 * Waits until the service answers.
 *
 * @throws ServiceStartError with the end of its log, where it ended or did not answer within the bound
 */
export async function waitUntilReady(service: Service, boundMs: number): Promise<void> {
  const deadline = Date.now() + boundMs;
  for (;;) {
    if (await service.answers()) return;
    if (!service.isRunning()) throw startError(service, 'ended while it started');
    if (Date.now() > deadline) {
      await service.stop(0);
      throw startError(service, `did not answer on port ${service.port} within ${boundMs / 1000} s and was ended`);
    }
    await sleep(50);
  }
}

/** A failure to start, with the end of the service's log. */
export function startError(service: Pick<Service, 'name' | 'logFile'>, what: string): ServiceStartError {
  const log = fs.existsSync(service.logFile) ? fs.readFileSync(service.logFile, 'utf8') : '';
  return new ServiceStartError(SERVICE_TITLES[service.name], what, service.logFile, log);
}
