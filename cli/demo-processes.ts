import fs from 'node:fs';
import path from 'node:path';
import { execa } from 'execa';
import { end, isRunning, type OwnProcess, spawnDetached } from '../local/process.ts';
import { ROOT } from '../platform/root.ts';
import { UsageError } from './failure.ts';

const LAUNCHER = path.join(ROOT, 'cli', 'whence.js');
const STOP_BOUND_MS = 30_000;
/** The demo has servers of its own, whatever this shell names. */
const ADDRESSES = ['DATABASE_URL', 'KAFKA_BROKERS', 'TEMPORAL_ADDRESS'];

/** What the demo runs: whence itself, as a person would run it, with data and servers of its own. */
export class DemoProcesses {
  readonly dataDir: string;
  #addresses: Record<string, string> = {};

  constructor(dataDir: string) {
    this.dataDir = dataDir;
    fs.mkdirSync(dataDir, { recursive: true });
  }

  setAddresses(addresses: Record<string, string>): void {
    this.#addresses = addresses;
  }

  /**
   * Runs a command to its end.
   *
   * @returns its standard output
   * @throws UsageError where it fails, with what it said
   */
  async run(args: readonly string[]): Promise<string> {
    const env = this.#environment();
    const child = execa(process.execPath, [LAUNCHER, ...args], { env, extendEnv: false, reject: false });
    const { exitCode, stdout, stderr } = await child;
    if (exitCode === 0) return stdout;
    throw new UsageError(`whence ${args.join(' ')} failed:\n${stderr}`);
  }

  /** Starts a command that goes on after us. Returns the file of its log. */
  async leave(name: string, args: readonly string[]): Promise<string> {
    const logFile = path.join(this.dataDir, `${name}.log`);
    const env = this.#environment();
    const started = await spawnDetached({ command: process.execPath, args: [LAUNCHER, ...args], logFile, env });
    // Read and written in one go: several may be started at once.
    this.#write([...this.#read(), started]);
    return logFile;
  }

  /** Whether all that were left still run. */
  areRunning(): boolean {
    return this.#read().every(isRunning);
  }

  /** Ends what was left running, in order; what does not end in half a minute is killed. */
  async stop(): Promise<void> {
    await Promise.all(this.#read().map((each) => end(each, 'SIGTERM', STOP_BOUND_MS)));
    this.#write([]);
  }

  #environment(): NodeJS.ProcessEnv {
    const inherited = Object.entries(process.env).filter(([name]) => !ADDRESSES.includes(name));
    return { ...Object.fromEntries(inherited), ...this.#addresses, WHENCE_DATA_DIR: this.dataDir };
  }

  get #file(): string {
    return path.join(this.dataDir, 'demo.json');
  }

  #read(): OwnProcess[] {
    if (!fs.existsSync(this.#file)) return [];
    return JSON.parse(fs.readFileSync(this.#file, 'utf8')) as OwnProcess[];
  }

  #write(processes: readonly OwnProcess[]): void {
    fs.writeFileSync(this.#file, JSON.stringify(processes));
  }
}
