import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { spell, type Health } from '../platform/health.ts';
import type { Logger } from '../platform/log.ts';
import { addDeparted, type MetricsSnapshot, type ProcessSnapshot } from '../platform/metrics.ts';
import type { Answer, Question, Told } from '../platform/parent.ts';

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
  /** By which metrics tell them apart; `stream` by default. */
  name?: string;
  /** They end by themselves when their work is done; without this, one that ends has failed. */
  endByThemselves?: boolean;
}

/** A process that is asked how it is has this long to answer. */
const ANSWER_WITHIN_MS = 2_000;
/** A process that never answered is starting, for so long. */
const STARTED_WITHIN_MS = 60_000;

interface Member {
  child: ChildProcess;
  /** Its name among the others, which the one that takes its place has, too. */
  name: string;
  startedAt: number;
  /** What it told last. */
  told: Told | null;
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
  readonly #members = new Map<ChildProcess, Member>();
  /** What those that are gone have counted. */
  #departed: Promise<MetricsSnapshot> = Promise.resolve([]);
  #questions = 0;
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
    for (let i = 0; i < options.count; i++) this.#start(i + 1);
  }

  get #what(): string {
    return this.#options.what ?? 'the speed layer';
  }

  /** Lets each commit what it has read and end, however often it is called. `done` fails where one of them does. */
  async stop(): Promise<void> {
    const ends = [...this.#members.keys()].map((child) => once(child, 'exit'));
    // A second signal would end them at once.
    if (!this.#stopping) for (const child of this.#members.keys()) child.kill('SIGTERM');
    this.#stopping = true;
    await Promise.all(ends);
    if (this.#failure === null) this.#resolve();
    else this.#reject(this.#failure);
  }

  /** How often a process was started in the place of one that was killed. */
  get restarts(): number {
    return this.#restarts.length;
  }

  /** Asks each how it is. Those that do not answer in time are as they were, and not healthy. */
  async look(): Promise<{ metrics: ProcessSnapshot[]; health: Health[] }> {
    const members = [...this.#members.values()];
    const health = await Promise.all(members.map((member) => this.#ask(member)));
    const metrics = members.flatMap(({ name, told }) =>
      told === null ? [] : [{ process: name, metrics: told.metrics }],
    );
    return { metrics: [...metrics, { process: 'departed', metrics: await this.#departed }], health };
  }

  async #ask(member: Member): Promise<Health> {
    const { child, name, startedAt } = member;
    const id = ++this.#questions;
    const told = await new Promise<Told | null>((resolve) => {
      const timer = setTimeout(() => settle(null), ANSWER_WITHIN_MS);
      const onMessage = (message: unknown) => {
        const answer = message as Partial<Answer> | null;
        if (answer?.whence === 'seen' && answer.id === id) settle(answer as Answer);
      };
      const settle = (value: Told | null) => {
        clearTimeout(timer);
        child.off('message', onMessage);
        resolve(value);
      };
      child.on('message', onMessage);
      const failed = (error: Error | null) => error && settle(null);
      if (child.connected) child.send({ whence: 'look', id } satisfies Question, failed);
      else settle(null);
    });
    if (told !== null) {
      member.told = { metrics: told.metrics, health: told.health };
      return told.health;
    }
    const age = Date.now() - startedAt;
    if (member.told === null && age < STARTED_WITHIN_MS) return { healthy: true, ready: false, faults: [] };
    const reason = member.told === null ? `has not begun ${spell(age)} after its start` : 'does not answer';
    return { healthy: false, ready: false, faults: [{ what: `process ${child.pid} (${name})`, reason }] };
  }

  #start(place: number): void {
    const [program, ...args] = this.#options.command;
    const child = spawn(program, args, {
      env: this.#options.env,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // A Ctrl-C in a terminal is for us; with ours after it, it would be their second signal.
      detached: true,
    });
    const name = `${this.#options.name ?? 'stream'}-${place}`;
    this.#members.set(child, { child, name, startedAt: Date.now(), told: null });
    child.on('exit', (code, signal) => {
      const told = this.#members.get(child)?.told;
      this.#members.delete(child);
      if (told) this.#departed = this.#departed.then((departed) => addDeparted(departed, told.metrics));
      if (this.#stopping) {
        if (code !== 0 && code !== null) this.#fail(code, signal);
        return;
      }
      if (this.#options.endByThemselves && code === 0) {
        if (this.#members.size === 0) this.#resolve();
        return;
      }
      const now = Date.now();
      this.#restarts.push(now);
      const recent = this.#restarts.filter((at) => at > now - 60_000).length;
      if (signal !== null && recent <= MOST_RESTARTS_A_MINUTE) {
        this.#options.log.warn({ pid: child.pid, signal }, `a process of ${this.#what} was killed, starting another`);
        this.#start(place);
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
