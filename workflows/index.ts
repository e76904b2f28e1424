/** Every workflow, by the name under which it is started. */
export { reconcileDay } from './reconcile-day.ts';
