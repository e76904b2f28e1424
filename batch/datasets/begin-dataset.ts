import ms from 'ms';
import { BUCKETS } from '../../archive/columns.ts';
import { findInstallation } from '../../archive/manifest.ts';
import { type Queryable, withTransaction } from '../../platform/postgres.ts';
import type { BatchDeps } from '../advance.ts';
import { BatchRequestError } from '../errors.ts';
import { filesOf } from '../snapshot.ts';
import { type DatasetPins, pinCurrent, policiesOf } from './pins.ts';
import { type DatasetRecipe, type DatasetRequest, daysOf, readRequest } from './request.ts';

/** A shard holds the impressions among about this many records, or of one bucket. */
const RECORDS_A_SHARD = 1_000_000;

export interface BeginDatasetRequest extends DatasetRequest {
  /** Who asked. */
  actor: string;
  /** Who works on it (a workflow's id): an owner has one open build, and a later one replaces it. */
  owner: string;
}

export interface DatasetBuild {
  build: number;
  name: string;
  /** Of the dataset. */
  version: number;
  /** Of the batch view that it is built from. */
  batchVersion: number;
  /** How many units of work it is cut into, each a shard: 0 to `units` - 1, in any order, on any machine. */
  units: number;
}

export interface BeginDatasetOptions {
  /** For tests: how small a shard is. */
  recordsAShard?: number;
}

/**
 * Begins to build a dataset: checks the request, pins what the batch layer serves now, and cuts the work into units. An open
 * build of the same owner is given up. How it is cut follows from request and pins alone.
 *
 * @throws BatchRequestError that says what is wrong with the request, or which days have to be covered first
 */
export async function beginDataset(
  { pool }: Pick<BatchDeps, 'pool'>,
  { owner, actor, ...request }: BeginDatasetRequest,
  { recordsAShard = RECORDS_A_SHARD }: BeginDatasetOptions = {},
): Promise<DatasetBuild> {
  const recipe = readRequest(request);
  const pins = await withTransaction(pool, (client) => pinCurrent(client, recipe), 'repeatable read');
  await checkWindow(pool, recipe, pins);
  const units = await cut(pool, recipe, pins, recordsAShard);
  const installation = await findInstallation(pool);
  return withTransaction(pool, async (client) => {
    // One after the other, so that each finds the version before its own.
    await client.query('select pg_advisory_xact_lock($1)', [BEGINNING]);
    await client.query(`delete from whence.dataset_builds where owner = $1 and status = 'building'`, [owner]);
    const { build, version } = await addBuild(client, { recipe, pins, owner, actor, installation });
    await client.query(
      `insert into whence.dataset_units (build, unit, from_bucket, to_bucket)
       select $1, unit, unit * $3 / $2, (unit + 1) * $3 / $2 - 1 from generate_series(0, $2::integer - 1) unit`,
      [build, units, BUCKETS],
    );
    return { build, name: recipe.name, version, batchVersion: pins.version, units };
  });
}

/** Any number that nothing else in the database locks. */
const BEGINNING = 4_401_839_208;

/** @throws BatchRequestError where the label window is longer than any play could credit the impression */
async function checkWindow(database: Queryable, recipe: DatasetRecipe, pins: DatasetPins): Promise<void> {
  const policies = [...(await policiesOf(database, pins)).values()];
  const longest = Math.min(...policies.map(({ rules }) => rules.batch.discoveryWindow));
  if (recipe.labelWindowMs > longest) {
    throw new BatchRequestError(
      `A label window of ${ms(recipe.labelWindowMs)} is longer than the discovery window of the batch layer, ${ms(longest)}: ` +
        'a play that starts later credits no impression; choose a shorter one',
    );
  }
}

async function cut(
  database: Queryable,
  recipe: DatasetRecipe,
  pins: DatasetPins,
  recordsAShard: number,
): Promise<number> {
  const days = daysOf(recipe);
  const files = await filesOf(database, pins.positions);
  const records = files.reduce((sum, file) => sum + days.reduce((all, day) => all + (file.days[day] ?? 0), 0), 0);
  return Math.min(Math.max(1, Math.ceil(records / recordsAShard)), BUCKETS);
}

interface NewBuild {
  recipe: DatasetRecipe;
  pins: DatasetPins;
  owner: string;
  actor: string;
  installation: string;
}

/** Adds a build as the next version of its name. */
async function addBuild(
  database: Queryable,
  { recipe, pins, owner, actor, installation }: NewBuild,
): Promise<{ build: number; version: number }> {
  const folder = `datasets/${installation}/${recipe.name}/`;
  const { rows } = await database.query<{ build: number; version: number }>(
    `insert into whence.dataset_builds (name, version, owner, actor, request, pins, folder)
     select $1, v.next, $2, $3, $4, $5, $6 || 'v' || v.next || '/'
     from (select coalesce(max(version), 0) + 1 as next from whence.dataset_builds where name = $1) v
     returning build, version`,
    [recipe.name, owner, actor, JSON.stringify(recipe), JSON.stringify(pins), folder],
  );
  return rows[0];
}
