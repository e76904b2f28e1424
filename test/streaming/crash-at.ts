import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { CheckpointStep, CommitStep, RecoveryStep } from '../../streaming/commit.ts';
import type { World } from './world.ts';

export type Step = CommitStep | CheckpointStep | RecoveryStep;

/**
 * Runs the layer, which writes checkpoints, until it kills itself at a step; what it said before.
 *
 * @param nth at which time; the first by default, which must come before it has caught up
 */
export async function crashAt(world: World, step: Step, nth?: number): Promise<string> {
  const script = fileURLToPath(new URL('crashing.ts', import.meta.url));
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', script, step, ...(nth === undefined ? [] : [String(nth)])],
    {
      env: world.env,
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  if (signal !== 'SIGKILL') return `ended by itself before ${step} #${nth ?? 1}`;
  return said.trim();
}
