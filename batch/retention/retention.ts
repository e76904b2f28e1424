import { type KeepSettings, readSettings } from '../../platform/settings.ts';

/**
 * For how long things are kept, in milliseconds; Infinity: for good. Versions of the batch view from when they ceased to be
 * current; attempts and builds of workflows that ended without giving them up, from their beginning; datasets, but the latest
 * of each name, from their publication; speed plays from the end of their day, and until every kept version covers it; objects
 * of the storage that nothing refers to any more, for the sake of whoever still reads them (`grace`).
 */
export type Retention = KeepSettings;

export const DEFAULT_RETENTION: Retention = readSettings({}).keep;

/** What was removed of a kind, or would be. */
export interface Removed {
  count: number;
  bytes: number;
}

export const NOTHING: Readonly<Removed> = { count: 0, bytes: 0 };

/** A crash or a fault can be put between any two steps, by tests. */
export type PruneStep =
  | 'attempts'
  | 'builds'
  | 'datasets'
  | 'versions marked'
  | 'versions'
  | 'days settled'
  | 'speed plays'
  | 'objects noted'
  | 'object deleted'
  | 'objects';

/** Age as Postgres has it; nothing is older than for good. */
export function seconds(age: number): number {
  return Math.min(age, FOR_GOOD_MS) / 1000;
}
const FOR_GOOD_MS = 1000 * 365 * 86_400_000;
