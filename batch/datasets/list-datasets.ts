import type { Queryable } from '../../platform/postgres.ts';

/** A dataset as `whence.datasets` shows it. */
export interface ListedDataset {
  name: string;
  version: number;
  status: 'building' | 'published';
  /** UTC days, both included. */
  from_day: string;
  to_day: string;
  /** Null until it is published, as what follows. */
  examples: number | null;
  positives: number | null;
  /** Where its files are. */
  path: string | null;
  manifest_sha256: string | null;
  created_at: Date;
}

/** All datasets by name and version, the open builds too. */
export async function listDatasets(database: Queryable): Promise<ListedDataset[]> {
  const { rows } = await database.query<ListedDataset>(
    `select name, version, status, from_day::text as from_day, to_day::text as to_day, examples, positives, path,
       manifest_sha256, created_at
     from whence.datasets order by name collate "C", version`,
  );
  return rows;
}
