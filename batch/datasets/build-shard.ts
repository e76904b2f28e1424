import { randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { sha256Of } from '../../archive/publish.ts';
import { withTransaction } from '../../platform/postgres.ts';
import type { BatchDeps } from '../advance.ts';
import { withEngineAndFiles } from '../engine.ts';
import { loadCopies, type Records } from '../facts.ts';
import { filesOf } from '../snapshot.ts';
import { readOpenBuild, readUnits, shardName, type ShardResult, type StoredBuild } from './builds.ts';
import { codeVersion } from './code-version.ts';
import { DatasetBuildGoneError, DatasetFaultError } from './errors.ts';
import { accountedFor, CLASSES, type Counts, type ExampleRules, examplesOf, noCounts } from './key-examples.ts';
import { FEATURE_WINDOW } from './key-features.ts';
import { PlaysOfKeys } from './key-plays.ts';
import { policiesOf, watermarkTime } from './pins.ts';
import { findKeys, readKeys, type ReadTimes } from './read-keys.ts';
import { timesOf } from './request.ts';
import { Sampling } from './sampling.ts';
import { createShardFile, EXTENSIONS, type ShardFile } from './shard-file.ts';
import { type Statistics, StatisticsSum } from './statistics.ts';

/** A crash or a fault can be put between any two steps, by tests. */
export type ShardStep = 'prepare' | 'examples' | 'written' | 'stored' | 'done';

export interface ShardOptions {
  signal?: AbortSignal;
  onStep?: (step: ShardStep) => void | Promise<void>;
}

export interface ShardSummary {
  unit: number;
  impressions: number;
  examples: number;
  positives: number;
  bytes: number;
  sha256: string;
}

/**
 * Builds the shard of a unit: reads the facts of its keys as the pins have them, labels their impressions, and writes the
 * examples aside, to be published whole. Done again, it replaces the shard by the same bytes: any worker can do any unit, twice
 * too.
 *
 * @throws DatasetBuildGoneError, DatasetFaultError where not every impression is accounted for
 */
export async function buildShard(
  deps: BatchDeps,
  build: number,
  unit: number,
  { signal, onStep = () => {} }: ShardOptions = {},
): Promise<ShardSummary> {
  const { pool, storage, scratch } = deps;
  const open = await readOpenBuild(pool, build);
  const spec = (await readUnits(pool, build)).find((each) => each.unit === unit);
  if (spec === undefined) throw new DatasetBuildGoneError(build);
  const code = await codeVersion();
  const files = await filesOf(pool, open.pins.positions);
  const aside = path.join(scratch, `${randomUUID()}.${EXTENSIONS[open.request.format]}`);
  try {
    const made = await write(deps, open, { files, from: spec.from_bucket, to: spec.to_bucket }, aside, {
      signal,
      onStep,
    });
    const { size: bytes } = await fs.stat(aside);
    const sha256 = await sha256Of(aside);
    await onStep('written');
    const file = shardName(unit, open.request);
    const { statistics, ...counts } = made;
    const result: ShardResult = { file, bytes, sha256, ...counts, statistics, code };
    await withTransaction(pool, async (client) => {
      // Whoever publishes or gives up the build waits for us, or we find it so; a second worker on this unit waits too. So
      // the file in the storage is the one that the result tells of.
      const { rowCount } = await client.query(
        `select from whence.dataset_builds where build = $1 and status = 'building' for key share`,
        [build],
      );
      if (rowCount === 0) throw new DatasetBuildGoneError(build);
      await client.query('select from whence.dataset_units where build = $1 and unit = $2 for update', [build, unit]);
      await storage.putFile(open.folder + file, aside);
      await onStep('stored');
      await client.query('update whence.dataset_units set result = $3 where build = $1 and unit = $2', [
        build,
        unit,
        JSON.stringify(result),
      ]);
    });
    await onStep('done');
    const { impressions, examples, positives } = counts;
    return { unit, impressions, examples, positives, bytes, sha256 };
  } finally {
    await fs.rm(aside, { force: true });
  }
}

/** Writes the examples of a unit into a file of this machine. */
async function write(
  deps: BatchDeps,
  { request, pins }: StoredBuild,
  part: Omit<Records, 'lease'>,
  file: string,
  { signal, onStep }: ShardOptions & Required<Pick<ShardOptions, 'onStep'>>,
): Promise<Counts & { statistics: Statistics }> {
  const { pool, scratch, memoryLimit } = deps;
  const policies = await policiesOf(pool, pins);
  const rules = [...policies.values()].map((policy) => policy.rules.batch);
  const window = Math.max(...rules.map((each) => each.discoveryWindow));
  const { begin, end } = timesOf(request);
  // What a play that starts within a window after an impression follows from, and what the features count.
  const times: ReadTimes = { begin, end, before: Math.max(window, FEATURE_WINDOW), after: window };
  const { positives, labelWindowMs } = request;
  const exampleRules: ExampleRules = {
    begin,
    end,
    labels: { positives, labelWindowMs, watermark: watermarkTime(pins), rules: rules[0] },
    sampling: new Sampling(request.seed, request.negatives),
    policies,
  };
  const plays = new PlaysOfKeys(pins.days, policies, request.to);
  const counts = noCounts();
  const statistics = new StatisticsSum();
  let shard: ShardFile | undefined;
  try {
    await withEngineAndFiles(deps, async (engine, lease) => {
      const records: Records = { ...part, lease };
      signal?.throwIfAborted();
      await onStep('prepare');
      await loadCopies(engine, pins.copies, records);
      const preview = await findKeys(engine, records, times);
      const categories = new Map([...preview.categories, ['surface_class', CLASSES] as const]);
      const opened = await createShardFile(request.format, { file, categories, scratch, memoryLimit });
      shard = opened;
      signal?.throwIfAborted();
      await onStep('examples');
      await readKeys(
        engine,
        records,
        times,
        (key) => {
          for (const example of examplesOf(key, plays, exampleRules, counts)) {
            statistics.add(example);
            opened.add(example);
          }
        },
        async () => {
          signal?.throwIfAborted();
          await opened.drain();
        },
      );
      if (counts.impressions !== preview.impressions || accountedFor(counts) !== preview.impressions) {
        throw new DatasetFaultError(
          `Of ${preview.impressions} impressions ${accountedFor(counts)} are accounted for: ${JSON.stringify(counts)}`,
        );
      }
    });
    await shard?.finish();
  } finally {
    await shard?.close();
  }
  return { ...counts, statistics: statistics.result() };
}
