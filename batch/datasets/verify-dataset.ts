import { withLease } from '../../platform/storage.ts';
import type { BatchDeps } from '../advance.ts';
import { BatchRequestError } from '../errors.ts';
import { accountedFor, addCounts, noCounts } from './key-examples.ts';
import { MANIFEST_NAME, type Manifest, parseManifest, sha256OfBytes } from './manifest.ts';
import { lookIntoShard } from './look-into-shard.ts';

export interface VerifiedDataset {
  name: string;
  version: number;
  shards: number;
  examples: number;
  /** Everything that is wrong, in words; none: the dataset is what was published. */
  faults: string[];
}

interface Registered {
  version: number;
  folder: string;
  manifest_sha256: string;
  examples: number;
  positives: number;
}

/**
 * Reads a published dataset again: the manifest against what is registered, each shard against the manifest (bytes, checksum, rows,
 * schema, positives).
 *
 * @param version the latest that is published, where it is not said
 * @throws BatchRequestError where there is no such dataset
 */
export async function verifyDataset(
  { pool, storage }: Pick<BatchDeps, 'pool' | 'storage'>,
  name: string,
  version?: number,
): Promise<VerifiedDataset> {
  const { rows } = await pool.query<Registered>(
    `select version, folder, manifest_sha256, examples, positives from whence.dataset_builds
     where name = $1 and status = 'published' and version = coalesce($2, version)
     order by version desc limit 1`,
    [name, version ?? null],
  );
  if (rows.length === 0) {
    const what = version === undefined ? `dataset "${name}"` : `version ${version} of a dataset "${name}"`;
    throw new BatchRequestError(`There is no published ${what}; see: npx whence dataset list`);
  }
  const registered = rows[0];
  const verified = { name, version: registered.version, examples: registered.examples };
  const faults: string[] = [];
  const content = await readManifest(storage, registered, faults);
  if (content === null) return { ...verified, shards: 0, faults };
  const names = new Set([MANIFEST_NAME, ...content.shards.map(({ file }) => file)]);
  for (const key of await storage.list(registered.folder)) {
    const file = key.slice(registered.folder.length);
    if (!names.has(file)) faults.push(`${file}: is not of the dataset`);
  }
  for (const shard of content.shards) faults.push(...(await faultsOfShard(storage, registered.folder, shard, content)));
  faults.push(...faultsOfCounts(content, registered));
  return { ...verified, shards: content.shards.length, faults };
}

async function readManifest(
  storage: BatchDeps['storage'],
  { folder, manifest_sha256 }: Registered,
  faults: string[],
): Promise<Manifest | null> {
  const key = folder + MANIFEST_NAME;
  if (!(await storage.exists(key))) {
    faults.push(`${MANIFEST_NAME}: is missing`);
    return null;
  }
  const bytes = await storage.get(key);
  const sha256 = sha256OfBytes(bytes);
  if (sha256 !== manifest_sha256) {
    faults.push(`${MANIFEST_NAME}: has the SHA-256 ${sha256}, expected ${manifest_sha256}`);
  }
  try {
    return parseManifest(bytes.toString('utf8'));
  } catch (error) {
    faults.push(`${MANIFEST_NAME}: cannot be read (${messageOf(error)})`);
    return null;
  }
}

async function faultsOfShard(
  storage: BatchDeps['storage'],
  folder: string,
  shard: Manifest['shards'][number],
  { request: { format }, schema }: Manifest,
): Promise<string[]> {
  const { file } = shard;
  const key = folder + file;
  if (!(await storage.exists(key))) return [`${file}: is missing`];
  const faults: string[] = [];
  const differs = (what: string, found: unknown, expected: unknown) => {
    if (found !== expected) faults.push(`${file}: has ${what} ${String(found)}, expected ${String(expected)}`);
  };
  const bytes = await storage.get(key);
  differs('a length in bytes of', bytes.length, shard.bytes);
  differs('the SHA-256', sha256OfBytes(bytes), shard.sha256);
  try {
    const found = await withLease(storage, async (lease) =>
      lookIntoShard(format, bytes, (await lease.take([{ key }]))[0]),
    );
    differs('the schema', found.schema, schema.map(({ name, type }) => `${name} ${type}`).join(', '));
    differs('rows:', found.rows, shard.examples);
    differs('positives:', found.positives, shard.positives);
  } catch (error) {
    faults.push(`${file}: cannot be read (${messageOf(error)})`);
  }
  return faults;
}

/** The numbers of a manifest that was altered together with its checksum may still not add up. */
function faultsOfCounts({ counts, shards }: Manifest, { examples, positives }: Registered): string[] {
  const sum = noCounts();
  for (const shard of shards) addCounts(sum, shard);
  const faults: string[] = [];
  if (JSON.stringify(sum) !== JSON.stringify(counts)) {
    faults.push(`${MANIFEST_NAME}: its counts are not those of its shards together`);
  }
  if (accountedFor(counts) !== counts.impressions) {
    faults.push(
      `${MANIFEST_NAME}: tells of ${accountedFor(counts)} of ${counts.impressions} impressions what they became`,
    );
  }
  if (counts.examples !== examples || counts.positives !== positives) {
    faults.push(
      `${MANIFEST_NAME}: has ${counts.examples} examples, ${counts.positives} of them positive; registered are ${examples} ` +
        `and ${positives}`,
    );
  }
  return faults;
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0];
}
