import type { Queryable } from '../../platform/postgres.ts';
import type { CodeVersion } from './code-version.ts';
import { DatasetBuildGoneError } from './errors.ts';
import type { Counts } from './key-examples.ts';
import type { DatasetPins } from './pins.ts';
import { EXTENSIONS } from './shard-file.ts';
import type { DatasetRecipe } from './request.ts';
import type { Statistics } from './statistics.ts';

/** A build as it is stored. */
export interface StoredBuild {
  build: number;
  name: string;
  version: number;
  request: DatasetRecipe;
  pins: DatasetPins;
  /** What the storage keys of its files begin with. */
  folder: string;
}

/** A unit of a build: the impressions of a range of buckets, which become one shard. */
export interface StoredUnit {
  unit: number;
  /** Both ends included. */
  from_bucket: number;
  to_bucket: number;
  /** Null until it is built. */
  result: ShardResult | null;
}

/** What is kept of a shard that was built. */
export interface ShardResult extends Counts {
  /** Its name in the folder. */
  file: string;
  bytes: number;
  /** Of the whole file, in hex. */
  sha256: string;
  statistics: Statistics;
  code: CodeVersion;
}

/** @throws DatasetBuildGoneError where it is no longer open */
export async function readOpenBuild(database: Queryable, build: number): Promise<StoredBuild> {
  const { rows } = await database.query<StoredBuild>(
    `select build, name, version, request, pins, folder from whence.dataset_builds
     where build = $1 and status = 'building'`,
    [build],
  );
  if (rows.length === 0) throw new DatasetBuildGoneError(build);
  return rows[0];
}

export async function readUnits(database: Queryable, build: number): Promise<StoredUnit[]> {
  const { rows } = await database.query<StoredUnit>(
    'select unit, from_bucket, to_bucket, result from whence.dataset_units where build = $1 order by unit',
    [build],
  );
  return rows;
}

/** Names are in the order of units, and so of rows. */
export function shardName(unit: number, { format }: DatasetRecipe): string {
  return `part-${String(unit).padStart(5, '0')}.${EXTENSIONS[format]}`;
}
