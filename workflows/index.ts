/** Every workflow, by the name under which it is started. */
export { backfill } from './backfill.ts';
export { buildDataset } from './build-dataset.ts';
export { dailyCycle } from './daily-cycle.ts';
export { prune } from './prune.ts';
export { reconcileDay } from './reconcile-day.ts';
export { release, rollback } from './rollback.ts';
