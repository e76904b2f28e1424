import { fileURLToPath } from 'node:url';
import { execa } from 'execa';

const LAUNCHER = fileURLToPath(new URL('../../cli/whence.js', import.meta.url));

export interface Ran {
  code: number | undefined;
  stdout: string;
  stderr: string;
}

/** Runs the real command in a process of its own. */
export async function whence(
  args: readonly string[],
  { env = {}, input = '' }: { env?: Record<string, string>; input?: string | Buffer } = {},
): Promise<Ran> {
  const { exitCode, stdout, stderr } = await execa(process.execPath, [LAUNCHER, ...args], {
    // As a person's shell has it: kafkajs behaves otherwise where it finds itself tested.
    env: { NODE_ENV: '', VITEST: '', ...env },
    input,
    reject: false,
    stripFinalNewline: false,
  });
  return { code: exitCode, stdout, stderr };
}
