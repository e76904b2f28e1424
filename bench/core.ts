/**
 * The core alone, no servers: `npm run bench:core`.
 *
 * Incremental use: 2 million events (80 % impressions, 200,000 profiles, 6,000 titles) into a `FactStore`, each playback
 * event followed by a derivation of its key; and what a held impression weighs. Batch use: derivations a second over
 * sorted columns. `--cpu-prof` of node shows where the time goes; findings are in docs/performance.md.
 */

import { LogClock } from '../attribution/clock.ts';
import { derive, KIND_CODES, MUTED_CODES, ORIGIN_CODES, type KeyFacts } from '../attribution/derive.ts';
import { ACTIONS, type Event } from '../attribution/events.ts';
import { FactStore } from '../attribution/facts/fact-store.ts';
import { KeyView } from '../attribution/facts/key-view.ts';
import { describePlay } from '../attribution/plays.ts';
import { defaultPolicy } from '../attribution/policy.ts';
import { parseEvent } from '../attribution/validate.ts';

const EVENTS = Number(process.env.BENCH_EVENTS ?? 2_000_000);
const PROFILES = 200_000;
const TITLES = 6_000;
const ROW_TYPES = ['because_you_watched', 'trending', 'top_10', 'genre', 'continue_watching', 'new_releases'];
const BEGIN = 1_764_000_000_000;
const SPAN = 20 * 60 * 60 * 1000;

/** A small seeded generator (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** As a parser would hand it over: a flat string, not one that is still to be joined from its parts. */
function uuid(next: () => number): string {
  for (let i = 0; i < 4; i++) ID_BYTES.writeUInt32LE(Math.floor(next() * 2 ** 32), i * 4);
  const all = ID_BYTES.toString('hex');
  return Buffer.from(
    `${all.slice(0, 8)}-${all.slice(8, 12)}-4${all.slice(13, 16)}-a${all.slice(17, 20)}-${all.slice(20)}`,
    'latin1',
  ).toString('latin1');
}
const ID_BYTES = Buffer.alloc(16);

/** The n-th event of the stream. Playback comes as runs of heartbeats of a few plays that are open at a time. */
function* events(seed: number, share: number): Generator<Event> {
  const next = random(seed);
  const profiles = Array.from({ length: PROFILES }, () => uuid(next));
  const open: { profile: string; title: number; playback: string; left: number }[] = [];
  for (let i = 0; i < EVENTS; i++) {
    const at = BEGIN + Math.floor((i / EVENTS) * SPAN);
    const common = {
      event_id: uuid(next),
      event_time: at,
      country: 'US',
      device_type: 'tv',
      series_id: null,
      profile_type: null,
    };
    if (next() < share) {
      const title = Math.floor(TITLES * next() ** 3);
      const row = ROW_TYPES[Math.floor(next() * ROW_TYPES.length)];
      yield {
        ...common,
        type: 'impression',
        profile_id: profiles[Math.floor(PROFILES * next() ** 1.5)],
        page_view_id: 'page-view',
        page: 'home',
        row_type: row,
        row_id: `${row}:${title % 50}`,
        row_rank: Math.floor(next() * 40),
        position: Math.floor(next() * 20),
        title_id: `title-${title}`,
        token: `t-${Math.floor(next() * 2 ** 32).toString(36)}${Math.floor(next() * 2 ** 32).toString(36)}`,
        context: null,
      };
      continue;
    }
    let play = open.length > 5_000 ? open[Math.floor(next() * open.length)] : undefined;
    const begins = play === undefined;
    if (play === undefined) {
      const profile = profiles[Math.floor(PROFILES * next() ** 1.5)];
      play = { profile, title: Math.floor(TITLES * next() ** 3), playback: uuid(next), left: 12 };
      open.push(play);
    }
    if (--play.left === 0) open.splice(open.indexOf(play), 1);
    yield {
      ...common,
      type: 'playback',
      action: begins ? 'start' : play.left === 0 ? 'stop' : 'heartbeat',
      profile_id: play.profile,
      playback_id: play.playback,
      title_id: `title-${play.title}`,
      kind: begins ? 'main' : null,
      muted_autoplay: null,
      position_ms: null,
      runtime_ms: 5_400_000,
      origin: begins
        ? {
            surface: 'home',
            row_type: 'trending',
            row_id: null,
            row_rank: 1,
            position: 1,
            token: null,
            impression_id: null,
          }
        : null,
    };
  }
}

function collect(): number {
  global.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** CPU seconds of this process, its collector's threads included: what others on the machine do matters little. */
function seconds(work: () => void): number {
  const begun = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(begun);
  return (user + system) / 1e6;
}

function report(what: string, figure: string): void {
  console.log(`${what.padEnd(64)} ${figure}`);
}

const perSecond = (count: number, time: number) => Math.round(count / time).toLocaleString('en');
const rules = defaultPolicy.rules.speed;

/** Events made and fed in turn, so that only the feeding is timed. */
const BLOCK = 2_000;

/** Feeds a store as the speed layer does. `time` is of the feeding alone, in seconds. */
function feed(source: Iterator<Event>, deriving: boolean): { store: FactStore; derived: number; time: number } {
  const store = new FactStore(defaultPolicy);
  const view = new KeyView(store);
  const clock = new LogClock();
  let derived = 0;
  let time = 0;
  for (;;) {
    const block: Event[] = [];
    for (let next = source.next(); !next.done && block.push(next.value) < BLOCK; next = source.next());
    if (block.length === 0) return { store, derived, time };
    time += seconds(() => {
      for (const event of block) {
        const { key } = store.observe(event, 0, clock.now, clock.isLate(event.event_time, rules), 0);
        clock.advance(event.event_time);
        if (!deriving || key < 0 || event.type !== 'playback') continue;
        for (const decision of derive(view.load(key), rules)) describePlay(decision, view);
        derived++;
      }
    });
  }
}

/** First of all, while nothing else is in memory. */
function memory(): void {
  const before = collect();
  const { store } = feed(events(2, 1), false);
  const held = collect() - before;
  const impressions = store.records;
  report('bytes a held impression, all in (keys, index, dictionaries)', (held / impressions).toFixed(1));
  report('  of these its record, columns and index', (store.footprint / impressions).toFixed(1));
  report('  keys (profile, work) that they are of', store.keys.size.toLocaleString('en'));
}

function incremental(): void {
  report('events a CPU-second, facts added one at a time', perSecond(EVENTS, feed(events(1, 0.8), false).time));
  const { derived, time } = feed(events(1, 0.8), true);
  report('events a CPU-second, and a derivation and its rows at every playback event', perSecond(EVENTS, time));
  report('  derivations in that run', derived.toLocaleString('en'));
}

function decoding(): void {
  const lines: string[] = [];
  for (const event of events(3, 0.8)) {
    lines.push(JSON.stringify(event));
    if (lines.length === 200_000) break;
  }
  const parsing = seconds(() => lines.forEach((line) => void JSON.parse(line)));
  const reading = seconds(() => lines.forEach((line) => void parseEvent(line, Infinity)));
  report('records a CPU-second, JSON.parse alone', perSecond(lines.length, parsing));
  report('records a CPU-second, JSON.parse and the contract', perSecond(lines.length, reading));
}

/** Keys of 25 impressions and a play of 12 events each, in columns as DuckDB would hand them over. */
function batch(): void {
  const keys = 400_000;
  const perKey = { impressions: 25, playbacks: 12 };
  const facts: KeyFacts = {
    impressions: {
      count: perKey.impressions,
      time: new Float64Array(perKey.impressions),
      surfaceClass: new Uint8Array(perKey.impressions),
    },
    playbacks: {
      count: perKey.playbacks,
      time: new Float64Array(perKey.playbacks),
      action: new Uint8Array(perKey.playbacks),
      playback: new Int32Array(perKey.playbacks),
      kind: new Uint8Array(perKey.playbacks).fill(KIND_CODES.none),
      muted: new Uint8Array(perKey.playbacks).fill(MUTED_CODES.none),
      runtime: new Float64Array(perKey.playbacks).fill(5_400_000),
      origin: new Uint8Array(perKey.playbacks),
      originClass: new Uint8Array(perKey.playbacks),
    },
    playbackIds: 1,
    names: () => false,
  };
  const times = new Float64Array(keys * perKey.impressions);
  const next = random(4);
  for (let i = 0; i < times.length; i++) times[i] = BEGIN - Math.floor((1 - (i % 25) / 25) * 30 * 86_400_000 * next());
  for (let k = 0; k < keys; k++) times.subarray(k * 25, k * 25 + 25).sort();
  let plays = 0;
  const time = seconds(() => {
    for (let k = 0; k < keys; k++) {
      for (let i = 0; i < perKey.impressions; i++) {
        facts.impressions.time[i] = times[k * 25 + i];
        facts.impressions.surfaceClass[i] = i & 3;
      }
      for (let i = 0; i < perKey.playbacks; i++) {
        facts.playbacks.time[i] = BEGIN + i * 60_000;
        facts.playbacks.action[i] = i === 0 ? 0 : i === 11 ? ACTIONS.length - 1 : 2;
      }
      facts.playbacks.origin[0] = k & 1 ? ORIGIN_CODES.claim : ORIGIN_CODES.none;
      plays += derive(facts, defaultPolicy.rules.batch).length;
    }
  });
  report('derivations a CPU-second in batch (25 impressions, a play of 12 events)', perSecond(plays, time));
  report('  facts a CPU-second', perSecond(keys * 37, time));
}

memory();
incremental();
decoding();
batch();
