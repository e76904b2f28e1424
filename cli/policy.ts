import { readFile } from 'node:fs/promises';
import { compilePolicy, defaultPolicy, type Policy } from '../attribution/policy.ts';
import { UsageError } from './failure.ts';

/**
 * The policy that the settings name, or the default.
 *
 * @throws UsageError where the file holds no valid policy
 */
export async function loadPolicy(file: string | null): Promise<Policy> {
  if (file === null) return defaultPolicy;
  const text = await readFile(file, 'utf8');
  try {
    return compilePolicy(JSON.parse(text));
  } catch (error) {
    throw new UsageError(`WHENCE_POLICY ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
