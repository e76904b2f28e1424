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
  /** Told of the process as soon as there is one, before it is ready: for whoever must end it, come what may. */
  onSpawn?: (runnable: Runnable) => void;
}

/** A real server on this machine that we started. */
export interface Service {
  readonly name: ServiceName;
  readonly port: number;
  readonly runnable: Runnable;
  readonly logFile: string;
  isRunning(): boolean;
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

export const STOP_BOUND_MS = 10_000;

export function createService(name: ServiceName, port: number, runnable: Runnable, logFile: string): Service {
  return {
    name,
    port,
    runnable,
    logFile,
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
 * @param answers asked again and again until it returns true; what it throws means "not yet"
 * @throws ServiceStartError with the end of its log, where it ended or did not answer within the bound
 */
export async function waitUntilReady(
  service: Service,
  answers: () => Promise<boolean>,
  boundMs: number,
): Promise<void> {
  const deadline = Date.now() + boundMs;
  for (;;) {
    if (await answers().catch(() => false)) return;
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
  const title = { postgres: 'Postgres', kafka: 'Kafka', temporal: 'Temporal' }[service.name];
  return new ServiceStartError(title, what, service.logFile, log);
}
