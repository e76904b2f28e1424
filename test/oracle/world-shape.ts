/**
 * The shape of a world: scenes (what a profile saw of a work around a moment, and how it was then played), strays (an
 * event anywhere), copies of events, and how all of it is read. It is drawn first and made a log afterwards, so that
 * it shrinks well.
 */

import * as fc from 'fast-check';
import type { Action, Kind } from '../../attribution/events.ts';
import * as pools from './pools.ts';

export const MOST_EVENTS = 40;

type Drawn<T> = T extends fc.Arbitrary<infer Value> ? Value : never;

const profile = fc.constantFrom<0 | 1>(0, 0, 0, 1);
const work = fc.constantFrom<'series' | 'title'>('series', 'series', 'title');
const episode = fc.constantFrom<0 | 1>(0, 1);
const moment = fc.constantFrom(...pools.MOMENTS);

/** An id of its own behind the prefix, or one of the few that collide. */
const id = fc.record({
  prefix: fc.constantFrom(...pools.ID_PREFIXES),
  shared: pools.mostly<string | null>(null, 14, ...pools.SHARED_IDS),
});
export type IdSpec = Drawn<typeof id>;

const tile = fc.record({
  page: pools.mostly('home', 3, ...pools.SURFACES),
  row_type: fc.constantFrom(...pools.ROW_TYPES),
  row_rank: fc.constantFrom(0, 1, 1, 1, 2, 10),
  position: fc.constantFrom(0, 0, 0, 1, 9),
  token: pools.mostly<string | null>(null, 2, ...pools.TOKENS),
  episode,
});

const seen = fc.record({ id, tile, before: fc.constantFrom(...pools.BEFORE_PLAY) });
export type SeenSpec = Drawn<typeof seen>;

const launch = fc.record({
  kind: fc.constantFrom(...pools.ORIGIN_KINDS),
  surface: fc.constantFrom(...pools.SURFACES),
  row_type: fc.constantFrom(null, ...pools.ROW_TYPES),
  row_rank: fc.constantFrom(null, 0, 3),
  token: fc.constantFrom(...pools.TOKENS),
  /** Which of the impressions, where it names one. */
  pick: fc.nat(9),
});
export type LaunchSpec = Drawn<typeof launch>;

const step = fc.record({
  id,
  gap: fc.constantFrom(...pools.GAPS),
  action: pools.mostly<Action>('heartbeat', 1, 'heartbeat', 'start', 'resume', 'pause', 'stop'),
  playback_id: fc.constantFrom(...pools.PLAYBACK_IDS),
  device_type: pools.mostly('tv', 2, 'mobile'),
  country: pools.mostly('US', 3, 'CA'),
  kind: pools.mostly<Kind | null>(null, 12, 'main', 'trailer', 'preview'),
  muted_autoplay: pools.mostly<boolean | null>(null, 10, true, false),
  runtime_ms: pools.mostly<number | null>(null, 4, ...pools.RUNTIMES),
  episode,
  launch: fc.option(launch, { freq: 1 }),
});
export type StepSpec = Drawn<typeof step>;

/** At the moment of the scene, mostly a start. */
const firstStep = fc
  .record({
    step,
    action: pools.mostly<Action>('start', 6, 'heartbeat', 'resume'),
    launch: fc.option(launch, { freq: 4 }),
  })
  .map(({ step, ...first }): StepSpec => ({ ...step, ...first, gap: 0 }));

const scene = fc
  .record({
    profile,
    work,
    at: moment,
    seen: fc.array(seen, { maxLength: 5 }),
    first: firstStep,
    steps: fc.array(step, { maxLength: 6 }),
    /** Mostly all steps have one playback id; null: each its own. */
    playback_id: fc.constantFrom(null, ...pools.PLAYBACK_IDS),
    /** Begins as a billboard that plays by itself, muted, and is then watched. */
    mutedLaunch: pools.mostly(false, 6, true),
  })
  .map(({ first, steps, playback_id, mutedLaunch, ...rest }) => ({
    ...rest,
    steps: [first, ...steps].map((step, index) => ({
      ...step,
      playback_id: playback_id ?? step.playback_id,
      muted_autoplay: mutedLaunch && index < 2 ? index === 0 : step.muted_autoplay,
    })),
  }));
export type SceneSpec = Drawn<typeof scene>;

const stray = fc.record({
  profile,
  work,
  at: moment,
  after: fc.constantFrom(...pools.GAPS, ...pools.BEFORE_PLAY),
  what: fc.oneof(fc.record({ seen }), fc.record({ step })),
});
export type StraySpec = Drawn<typeof stray>;

/** Which of the topics of its kind. */
const topic = pools.mostly<0 | 1>(0, 4, 1);

const copy = fc.record({
  of: fc.nat(MOST_EVENTS),
  payload: fc.constantFrom<'same' | 'moved' | 'other_work' | 'other_profile'>(
    'same',
    'same',
    'moved',
    'other_work',
    'other_profile',
  ),
  delay: fc.constantFrom(...pools.COPY_DELAYS),
  topic,
});
export type CopySpec = Drawn<typeof copy>;

/** An event that sets the clock of another's topic-partition, just before or just after the other is read. */
const clock = fc.record({
  of: fc.nat(MOST_EVENTS),
  ahead: fc.constantFrom(...pools.CLOCKS_AHEAD),
  when: fc.constantFrom<'before' | 'after'>('before', 'after'),
  /** Then the other is read once more. */
  again: fc.boolean(),
});
export type ClockSpec = Drawn<typeof clock>;

export const shape = fc.record({
  scenes: fc.array(scene, { minLength: 1, maxLength: 5 }),
  strays: fc.array(stray, { maxLength: 4 }),
  copies: fc.array(copy, { maxLength: 4 }),
  clocks: fc.array(clock, { maxLength: 2 }),
  /** How each event is read, copies and clocks aside. */
  readings: fc.array(fc.record({ delay: pools.mostly(0, 9, ...pools.DELAYS), topic }), {
    minLength: MOST_EVENTS,
    maxLength: MOST_EVENTS,
  }),
  impressionTopics: fc.constantFrom<1 | 2>(1, 2),
  playbackTopics: fc.constantFrom<1 | 2>(1, 2),
  /** Of each profile. */
  partitions: fc.tuple(fc.nat(1), fc.nat(1)),
});
export type Shape = Drawn<typeof shape>;

/** More impressions than a path keeps, within a minute before a play. */
export const crowd: fc.Arbitrary<SeenSpec[]> = fc.array(
  fc.record({ id, tile, before: fc.constantFrom(0, 0, 1, 1000, 60_000) }),
  { minLength: 60, maxLength: 120 },
);
