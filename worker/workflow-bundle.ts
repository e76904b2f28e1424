import { createHash, randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import type { Logger as TemporalLogger } from '@temporalio/common';
import { bundleWorkflowCode } from '@temporalio/worker';
import bundlerPackage from '@temporalio/worker/package.json' with { type: 'json' };
import { ROOT } from '../platform/root.ts';

const WORKFLOWS = path.join(ROOT, 'workflows');
const FOLDER = path.join(ROOT, '.workflow-bundles');

/**
 * The workflows as one file of code, as workers load it. It is made once for each state of the sources: `npm run
 * build` makes it beforehand, the first worker does otherwise.
 *
 * @returns its path
 */
export async function provideWorkflowBundle(logger: TemporalLogger): Promise<string> {
  const file = path.join(FOLDER, `${await sourcesHash()}.cjs`);
  if (await exists(file)) return file;
  logger.info('Bundling the workflows, once for this state of their sources');
  const { code } = await bundleWorkflowCode({ workflowsPath: path.join(WORKFLOWS, 'index.ts'), logger });
  await fs.mkdir(FOLDER, { recursive: true });
  const aside = `${file}.${randomUUID()}`;
  await fs.writeFile(aside, code);
  await fs.rename(aside, file);
  return file;
}

/** Of all that a bundle follows from. */
async function sourcesHash(): Promise<string> {
  const hash = createHash('sha256').update(`${bundlerPackage.version} ${process.version}`);
  for (const name of (await fs.readdir(WORKFLOWS)).sort()) {
    hash.update(`\n${name}\n`).update(await fs.readFile(path.join(WORKFLOWS, name)));
  }
  return hash.digest('hex').slice(0, 16);
}

async function exists(file: string): Promise<boolean> {
  return fs.access(file).then(
    () => true,
    () => false,
  );
}
