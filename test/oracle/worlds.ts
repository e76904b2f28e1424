/** Small hostile logs for property tests: few keys, and edges hit on purpose, so that the rules meet. */

import * as fc from 'fast-check';
import type { LogRecord } from './types.ts';
import { logOf } from './world-log.ts';
import { crowd, MOST_EVENTS, shape } from './world-shape.ts';

/** A log in reading order, of up to 40 events. */
export const world: fc.Arbitrary<LogRecord[]> = shape.map((shape) => logOf(shape, MOST_EVENTS));

/** A world whose first play follows more impressions of its key than a path keeps. */
export const crowdedWorld: fc.Arbitrary<LogRecord[]> = fc.record({ shape, crowd }).map(({ shape, crowd }) => {
  const scenes = shape.scenes.map((scene, index) => (index === 0 ? { ...scene, seen: crowd } : scene));
  return logOf({ ...shape, scenes }, MOST_EVENTS + crowd.length);
});
