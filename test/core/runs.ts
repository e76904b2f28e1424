/** How often a property is tried. */

import * as fc from 'fast-check';

/** Set where the tests run once for each mutant of the core: fewer, the same for every mutant, and never shrunk. */
const most = process.env.WHENCE_PROPERTY_RUNS;
if (most !== undefined) fc.configureGlobal({ seed: 20_251_124, endOnFailure: true });

export const FEWER_RUNS = most !== undefined;

/** So many runs, or fewer. */
export function runs(usual: number): number {
  return most === undefined ? usual : Math.min(usual, Number(most));
}
