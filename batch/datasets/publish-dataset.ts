import { type Queryable, withTransaction } from '../../platform/postgres.ts';
import type { BatchDeps } from '../advance.ts';
import { readUnits, type ShardResult, type StoredBuild, type StoredUnit } from './builds.ts';
import { DatasetBuildGoneError, DatasetFaultError } from './errors.ts';
import { accountedFor, addCounts, type Counts, noCounts } from './key-examples.ts';
import { MANIFEST_FORMAT, MANIFEST_NAME, type Manifest, manifestText, sha256OfBytes } from './manifest.ts';
import { policiesOf } from './pins.ts';
import { SAMPLING } from './sampling.ts';
import { COLUMNS, ROW_ORDER } from './schema.ts';
import { StatisticsSum } from './statistics.ts';

/** A crash or a fault can be put between any two steps, by tests. */
export type PublishStep = 'checked' | 'manifest stored' | 'before commit' | 'published';

export interface PublishOptions {
  onStep?: (step: PublishStep) => void | Promise<void>;
}

export interface DatasetSummary {
  name: string;
  version: number;
  /** Where its files are found: a folder here, a URL in an object store. */
  path: string;
  manifestSha256: string;
  counts: Counts;
  /** The share of the positives among the examples; null where there are none. */
  labelRate: number | null;
}

type FinishedUnit = StoredUnit & { result: ShardResult };

/**
 * Publishes a dataset whose shards are all built: writes its manifest, and registers it in `whence.datasets`. Done again, it
 * gives the same summary.
 *
 * @throws DatasetBuildGoneError; DatasetFaultError where the shards do not fit together; then nothing was published
 */
export async function publishDataset(
  { pool, storage }: Pick<BatchDeps, 'pool' | 'storage'>,
  build: number,
  { onStep = () => {} }: PublishOptions = {},
): Promise<DatasetSummary> {
  const summary = await withTransaction(pool, async (client) => {
    const locked = await lockBuild(client, build);
    const { folder, name, version } = locked;
    const units = finished(build, await readUnits(client, build));
    const content = await manifestOf(client, locked, units);
    const text = manifestText(content);
    const { counts, labelRate } = content;
    const manifestSha256 = sha256OfBytes(text);
    const path = storage.locate(folder.slice(0, -1));
    if (locked.status === 'building') {
      await checkFiles(storage, folder, units);
      await onStep('checked');
      await storage.put(folder + MANIFEST_NAME, Buffer.from(text));
      await onStep('manifest stored');
      await removeOthers(storage, folder, content);
      await client.query(
        `update whence.dataset_builds set status = 'published', published_at = now(), path = $2, manifest_sha256 = $3,
           examples = $4, positives = $5
         where build = $1`,
        [build, path, manifestSha256, counts.examples, counts.positives],
      );
    }
    await onStep('before commit');
    return { name, version, path, manifestSha256, counts, labelRate };
  });
  await onStep('published');
  return summary;
}

async function lockBuild(database: Queryable, build: number): Promise<StoredBuild & { status: string }> {
  const { rows } = await database.query<StoredBuild & { status: string }>(
    `select build, name, version, request, pins, folder, status from whence.dataset_builds where build = $1 for update`,
    [build],
  );
  if (rows.length === 0) throw new DatasetBuildGoneError(build);
  return rows[0];
}

/** @throws Error where a unit was not built; DatasetFaultError where they were built by different code */
function finished(build: number, units: readonly StoredUnit[]): FinishedUnit[] {
  const built = units.filter((unit): unit is FinishedUnit => unit.result !== null);
  if (built.length < units.length) {
    const missing = units.filter(({ result }) => result === null).map(({ unit }) => unit);
    throw new Error(`Build ${build} of a dataset cannot be published: units ${missing.join(', ')} are not built`);
  }
  const versions = new Set(
    built.map(({ result: { code } }) => [code.sources, code.duckdb, code.apacheArrow].join(' ')),
  );
  if (versions.size > 1) {
    throw new DatasetFaultError(
      `The shards of build ${build} were built by ${versions.size} versions of whence; run one version on all workers, and ` +
        'build the dataset again',
    );
  }
  return built;
}

/** @throws DatasetFaultError where a shard is not what was built */
async function checkFiles(
  storage: BatchDeps['storage'],
  folder: string,
  units: readonly FinishedUnit[],
): Promise<void> {
  for (const { result } of units) {
    const key = folder + result.file;
    const found = (await storage.exists(key)) ? await storage.size(key) : null;
    if (found === result.bytes) continue;
    throw new DatasetFaultError(
      `The shard ${key} has ${found ?? 'no'} bytes, expected ${result.bytes}; build it again`,
    );
  }
}

/** Files that an earlier build of this owner left under the same version. */
async function removeOthers(storage: BatchDeps['storage'], folder: string, { shards }: Manifest): Promise<void> {
  const ours = new Set([MANIFEST_NAME, ...shards.map(({ file }) => file)].map((name) => folder + name));
  for (const key of await storage.list(folder)) if (!ours.has(key)) await storage.delete(key);
}

async function manifestOf(
  database: Queryable,
  { name, request, pins }: StoredBuild,
  units: readonly FinishedUnit[],
): Promise<Manifest> {
  const sum = noCounts();
  const statistics = new StatisticsSum();
  for (const { result } of units) {
    addCounts(sum, result);
    statistics.merge(result.statistics);
  }
  if (accountedFor(sum) !== sum.impressions || sum.positives + sum.negatives !== sum.examples) {
    throw new DatasetFaultError(`Not every impression is accounted for: ${JSON.stringify(sum)}`);
  }
  const policies = [...(await policiesOf(database, pins))].map(([hash, { source }]) => [hash, source] as const);
  const { from, to, format, negatives, seed, positives, labelWindowMs } = request;
  const weighted = sum.positives + sum.negatives / negatives;
  return {
    format: MANIFEST_FORMAT,
    name,
    request: { from, to, format, negatives, seed, positives, labelWindowMs },
    counts: countsOf(sum),
    labelRate: sum.examples === 0 ? null : sum.positives / sum.examples,
    weightedLabelRate: sum.examples === 0 ? null : sum.positives / weighted,
    sampling: SAMPLING,
    rowOrder: [...ROW_ORDER],
    schema: COLUMNS.map(({ name, type, nullable, role, says }) => ({ name, type, nullable, role, says })),
    shards: units.map(({ from_bucket, to_bucket, result }) => ({
      file: result.file,
      buckets: [from_bucket, to_bucket],
      bytes: result.bytes,
      sha256: result.sha256,
      ...countsOf(result),
    })),
    statistics: statistics.result(),
    pins: {
      version: pins.version,
      watermark: pins.watermark,
      positions: pins.positions.map(({ topic, partition, log, next }) => ({ topic, partition, log, next })),
      copies: pins.copies,
      days: pins.days.map(({ day, generation, policy }) => ({ day, generation, policy })),
    },
    policies: Object.fromEntries(policies),
    code: units[0].result.code,
  };
}

function countsOf({ impressions, examples, positives, negatives, sampledOut, excluded }: Counts): Counts {
  const { another_surface, another_impression, unqualified, already_discovered, not_matured } = excluded;
  return {
    impressions,
    examples,
    positives,
    negatives,
    sampledOut,
    excluded: { another_surface, another_impression, unqualified, already_discovered, not_matured },
  };
}
