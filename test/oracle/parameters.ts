/** The numbers of the rules, written down a second time: nothing here comes from the policy of the core. */

import type { SurfaceClass } from '../../attribution/events.ts';
import type { Mode } from './types.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** All times in milliseconds. */
export interface OracleParameters {
  /** How long before a play its launch may lie: of an inferred impression, and of the start that launched it. */
  sopWindow: number;
  /** How long before a play an impression is eligible. */
  discoveryWindow: Record<Mode, number>;
  /** The longest gap within a play. */
  stitchingGap: number;
  /** How far an event may be behind the log of its topic-partition. */
  lateness: number;
  /** How long, in event time of its topic-partition, the speed layer recognises a copy. */
  copyMemory: number;
  /** How long what an event says of kind and muted autoplay holds for those of its playback_id that do not say. */
  carry: number;
  /** Watched time that qualifies a play. */
  qualifiedWatched: number;
  /** A runtime below this is short ... */
  shortRuntime: number;
  /** ... and this part of it qualifies. */
  shortRuntimeShare: number;
  /** The most that one stretch of viewing is credited. */
  stretchCap: number;
  /** Touches that a path keeps. */
  pathLimit: number;
  /** Of the time_decay model. */
  halfLife: number;
  /** Of the position_based model. */
  positionBased: { first: number; middle: number; last: number };
  /** Class by slug of a row type or a surface; a Map, so that a slug like `constructor` is not found by accident. */
  classes: ReadonlyMap<string, SurfaceClass>;
}

export const defaultParameters: OracleParameters = {
  sopWindow: 30 * MINUTE,
  discoveryWindow: { speed: 24 * HOUR, batch: 30 * DAY },
  stitchingGap: 30 * MINUTE,
  lateness: 10 * MINUTE,
  copyMemory: 24 * HOUR,
  carry: 24 * HOUR,
  qualifiedWatched: 120 * SECOND,
  shortRuntime: 240 * SECOND,
  shortRuntimeShare: 0.5,
  stretchCap: 120 * SECOND,
  pathLimit: 50,
  halfLife: 7 * DAY,
  positionBased: { first: 0.4, middle: 0.2, last: 0.4 },
  classes: new Map<string, SurfaceClass>([
    ['netflix_originals', 'discovery'],
    ['because_you_watched', 'discovery'],
    ['top_picks', 'discovery'],
    ['trending', 'discovery'],
    ['top_10', 'discovery'],
    ['recently_added', 'discovery'],
    ['new_releases', 'discovery'],
    ['more_to_explore', 'discovery'],
    ['genre', 'discovery'],
    ['billboard', 'discovery'],
    ['post_play', 'discovery'],
    ['continue_watching', 'continuation'],
    ['keep_watching', 'continuation'],
    ['watch_it_again', 'continuation'],
    ['watchlist', 'continuation'],
    ['my_list', 'continuation'],
    ['search', 'intent'],
    ['deep_link', 'intent'],
    ['notification', 'intent'],
    ['voice', 'intent'],
    ['external', 'intent'],
    ['autoplay_next', 'system'],
    ['details', 'system'],
  ]),
};
