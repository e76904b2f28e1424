/** Logs around midnights, of events that all count, in which gaps, lateness and horizons meet. */

import * as fc from 'fast-check';
import { impression, playback } from '../core/samples.ts';
import type { LogRecord } from '../oracle/oracle.ts';

const MINUTE = 60_000;
const BEGIN = Date.UTC(2025, 10, 24, 21);
const GAPS = [1, 5, 20, 29, 30, 31, 45, 300, 700, 1200];
const DELAYS = [0, 0, 0, 0, 5, 10, 11, 40, 400, 1500];

const moment = fc.record({
  after: fc.constantFrom(...GAPS),
  delay: fc.constantFrom(...DELAYS),
  work: fc.constantFrom('w1', 'w1', 'w1', 'w2'),
  seen: fc.constantFrom(false, false, false, true),
  stop: fc.boolean(),
});

const topic = fc.record({
  begin: fc.integer({ min: 0, max: 60 }),
  moments: fc.array(moment, { minLength: 1, maxLength: 7 }),
});

/** One profile in a partition, of one or two, each with one or two topics. */
export const plainLog: fc.Arbitrary<LogRecord[]> = fc
  .array(fc.array(topic, { minLength: 1, maxLength: 2 }), { minLength: 1, maxLength: 2 })
  .map((partitions) =>
    partitions.flatMap((topics, partition) =>
      topics.flatMap(({ begin, moments }, index) => {
        let time = BEGIN + begin * MINUTE;
        return moments.map(({ after, delay, work, seen, stop }, offset): LogRecord => {
          time += after * MINUTE;
          const common = {
            event_id: `${index}-${offset}`,
            event_time: time - delay * MINUTE,
            profile_id: `p${partition}`,
            title_id: work,
            series_id: null,
          };
          const event = seen
            ? impression({ ...common, row_type: offset % 2 === 0 ? 'trending' : 'top_10', token: null })
            : playback({
                ...common,
                action: stop ? 'stop' : 'heartbeat',
                playback_id: `b${offset % 2}`,
                origin: null,
                kind: null,
                muted_autoplay: null,
              });
          return { topic: `t${index}`, partition, offset, event };
        });
      }),
    ),
  );
