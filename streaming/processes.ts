import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Logger } from '../platform/log.ts';

/** A process that ended by itself is started again, but not more often than this in a minute. */
const MOST_RESTARTS_A_MINUTE = 5;

export interface ProcessesOptions {
  /** How many. */
  count: number;
  /** The program and arguments of each. */
  command: readonly [string, ...string[]];
  env: NodeJS.ProcessEnv;
  log: Logger;
  /** What they run, in words; the speed layer by default. */
  what?: string;
  /** They end by themselves when their work is done; without this, one that ends has failed. */
  endByThemselves?: boolean;
}

/** The processes that were to run the speed layer, or another part, keep ending. */
export class ProcessesFailedError extends Error {
  override readonly name = 'ProcessesFailedError';
  constructor(what: string, code: number | null, signal: NodeJS.Signals | null) {
    const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
    super(`A process of ${what} ended with ${how}; see what it printed above. The others were stopped.`);
  }
}

/**
 * Runs the speed layer, or another part, in several processes. One that is killed is started again; one that ends with an error of its own
 * ends all, since it would end so again. They end with this process: a closed channel tells them.
 */
export class Processes {
  readonly #options: ProcessesOptions;
  readonly #children = new Set<ChildProcess>();
  readonly #restarts: number[] = [];
  #stopping = false;
  #failure: ProcessesFailedError | null = null;
  readonly done: Promise<void>;
  #resolve: () => void = () => {};
  #reject: (error: Error) => void = () => {};

  constructor(options: ProcessesOptions) {
    this.#options = options;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.done.catch(() => {});
    for (let i = 0; i < options.count; i++) this.#start();
  }

  get #what(): string {
    return this.#options.what ?? 'the speed layer';
  }

  /** Lets each commit what it has read and end, however often it is called. `done` fails where one of them does. */
  async stop(): Promise<void> {
    const ends = [...this.#children].map((child) => once(child, 'exit'));
    // A second signal would end them at once.
    if (!this.#stopping) for (const child of this.#children) child.kill('SIGTERM');
    this.#stopping = true;
    await Promise.all(ends);
    if (this.#failure === null) this.#resolve();
    else this.#reject(this.#failure);
  }

  #start(): void {
    const [program, ...args] = this.#options.command;
    const child = spawn(program, args, {
      env: this.#options.env,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // A Ctrl-C in a terminal is for us; with ours after it, it would be their second signal.
      detached: true,
    });
    this.#children.add(child);
    child.on('exit', (code, signal) => {
      this.#children.delete(child);
      if (this.#stopping) {
        if (code !== 0 && code !== null) this.#fail(code, signal);
        return;
      }
      if (this.#options.endByThemselves && code === 0) {
        if (this.#children.size === 0) this.#resolve();
        return;
      }
      const now = Date.now();
      this.#restarts.push(now);
      const recent = this.#restarts.filter((at) => at > now - 60_000).length;
      if (signal !== null && recent <= MOST_RESTARTS_A_MINUTE) {
        this.#options.log.warn({ pid: child.pid, signal }, `a process of ${this.#what} was killed, starting another`);
        this.#start();
        return;
      }
      this.#fail(code, signal);
      void this.stop();
    });
  }

  #fail(code: number | null, signal: NodeJS.Signals | null): void {
    this.#failure ??= new ProcessesFailedError(this.#what, code, signal);
  }
}
