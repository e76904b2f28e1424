import { COPY_MEMORY_MS } from '../attribution/facts/fact-store.ts';
import type { Chunk } from '../attribution/facts/chunk.ts';
import type { Policy, Rules } from '../attribution/policy.ts';

/** Where reading a topic begins again after a restart. */
export interface ReplayPoint {
  offset: number;
  /** The log's clock before that record; null at the log's beginning. */
  clock: number | null;
  /** Records before this offset are only read to recognise their copies; their facts are needed no more. */
  factsFrom?: number;
  /** Plays that ended before this (epoch milliseconds) have had facts dropped. The same in all topics of a task. */
  frozenBefore?: number;
}

type Points = Record<string, ReplayPoint>;

interface Mark {
  points: Points;
  /** Of the chunk that was begun here, once it was dropped. */
  greatestClock: number;
}

/** Replay marks as a checkpoint keeps them; -Infinity is null. */
export interface SavedMarks {
  /** Of the chunks that are held, oldest first. */
  live: Points[];
  retired: { points: Points; greatestClock: number | null }[];
  notBefore: number | null;
  frozenBefore: number | null;
}

/**
 * How far before its start a play needs facts: impressions of its window, and what says `kind` and `muted_autoplay` for
 * the events that may be stitched to it.
 */
export function reachOf(rules: Rules): number {
  return Math.max(rules.discoveryWindow, rules.stitchingGap + rules.flagMemory);
}

/**
 * Where in the log each chunk of facts begins, so that a restart reads again what is still held, and before that as much
 * as is needed to recognise copies.
 */
export class ReplayMarks {
  readonly #topics: readonly string[];
  readonly #keep: number;
  readonly #resumedFrom: readonly number[];
  /** Of the chunks that are held, oldest first. */
  #live: Mark[] = [];
  /** Of dropped chunks whose records may yet have copies. */
  #retired: Mark[] = [];
  #notBefore = -Infinity;
  /** Plays that ended before this were final when facts were last dropped: they can no longer be derived. */
  frozenBefore: number;
  readonly #finalAfter: number;

  /**
   * @param resumed the stored replay points
   * @param saved the marks of a checkpoint that was restored: all that is read again is applied
   */
  constructor(topics: readonly string[], policy: Policy, resumed: Readonly<Points>, saved?: SavedMarks) {
    const rules = policy.rules.speed;
    this.#topics = topics;
    this.#keep = Math.max(reachOf(rules), COPY_MEMORY_MS) + rules.allowedLateness;
    this.#finalAfter = rules.stitchingGap + rules.allowedLateness;
    this.frozenBefore = Math.max(-Infinity, ...Object.values(resumed).map((point) => point.frozenBefore ?? -Infinity));
    this.#resumedFrom = topics.map((topic) => (saved ? 0 : (resumed[topic]?.factsFrom ?? 0)));
    if (saved === undefined) return;
    this.#live = saved.live.map((points) => ({ points, greatestClock: -Infinity }));
    this.#retired = saved.retired.map(({ points, greatestClock }) => ({
      points,
      greatestClock: orBefore(greatestClock),
    }));
    this.#notBefore = orBefore(saved.notBefore);
    this.frozenBefore = Math.max(this.frozenBefore, orBefore(saved.frozenBefore));
  }

  /** What is to be kept of it, as it is now. */
  save(): SavedMarks {
    return {
      live: this.#live.map(({ points }) => points),
      retired: this.#retired.map(({ points, greatestClock }) => ({ points, greatestClock: orNull(greatestClock) })),
      notBefore: orNull(this.#notBefore),
      frozenBefore: orNull(this.frozenBefore),
    };
  }

  /** Whether a record that is read again is of a chunk that had been dropped. */
  onlyKnown(topic: number, offset: number): boolean {
    return offset < this.#resumedFrom[topic];
  }

  /** A chunk was begun; `points` are the positions and clocks before its first record. */
  begin(points: Points): void {
    this.#live.push({ points, greatestClock: -Infinity });
  }

  /** Whether a chunk is old enough to be dropped, open plays apart. */
  mayDrop(chunk: Chunk, watermark: number): boolean {
    return watermark >= this.#notBefore && watermark > chunk.greatestClock + this.#keep;
  }

  /** An open play needs the oldest chunk: look again when the watermark has moved on by ten minutes. */
  postpone(watermark: number): void {
    this.#notBefore = watermark + 10 * 60 * 1000;
  }

  /** The oldest chunk is being dropped, at this watermark. */
  drop(chunk: Chunk, watermark: number): void {
    this.frozenBefore = Math.max(this.frozenBefore, watermark - this.#finalAfter);
    const mark = this.#live.shift();
    if (mark) this.#retired.push({ ...mark, greatestClock: chunk.greatestClock });
    const oldest = this.#live[0];
    const begunAt = Math.min(...this.#topics.map((topic) => oldest?.points[topic].clock ?? -Infinity));
    // A copy in what is held can only be of a record of the last 24 hours before it.
    this.#retired = this.#retired.filter((retired) => retired.greatestClock + COPY_MEMORY_MS >= begunAt);
  }

  /** Where to begin again: empty where that is the beginning of the log. */
  replayPoints(): Points {
    const first = this.#retired[0] ?? this.#live[0];
    const facts = this.#live[0];
    if (!first || !facts) return {};
    return Object.fromEntries(
      this.#topics.map((topic) => [
        topic,
        {
          ...first.points[topic],
          factsFrom: facts.points[topic].offset,
          ...(Number.isFinite(this.frozenBefore) && { frozenBefore: this.frozenBefore }),
        },
      ]),
    );
  }
}

function orNull(time: number): number | null {
  return Number.isFinite(time) ? time : null;
}

function orBefore(time: number | null): number {
  return time ?? -Infinity;
}
