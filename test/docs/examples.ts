/**
 * Reads the worked examples of docs/rules.md. A drawing is the data: what stands under a time of the ruler happened at
 * that time. The format is described there, under "How to read the drawings".
 */

import { ACTIONS, KINDS, type Event, type Origin } from '../../attribution/events.ts';
import { DAY, HOUR, MINUTE, SECOND } from '../../attribution/time.ts';
import type { Mode } from '../oracle/oracle.ts';

/** A record as it arrives, which need not be in order of event time. */
export interface Delivery {
  arrivesAt: number;
  event: Event;
}

/** An outcome line on a play: which one, and what is said of it. */
export interface StatedPlay {
  /** The one layer that the line is about, null for both. */
  layer: Mode | null;
  playback: string;
  from: string;
  to: string;
  /** `name=value` as written; a flag is a name alone. */
  says: string[];
}

export interface Example {
  deliveries: Delivery[];
  plays: StatedPlay[];
  /** What a ledger line says, null where there is none. */
  ledger: string | null;
}

/** A section of the document with the sources of its examples. A rule is a section whose title has a number. */
export interface Section {
  title: string;
  isRule: boolean;
  examples: string[];
}

interface Drawn {
  lane: string;
  /** Of an impression its id, of a playback event its action. */
  what: string;
  time: number;
}

interface Note {
  about: string;
  /** The one time that the note is about, null for all. */
  time: number | null;
  attributes: [name: string, value: string][];
}

const NOTE = /^(\S+)(?: (\S+))?: (.+)$/;
const OUTCOME = /^=>\s+(?:(speed|batch):\s+)?(.+)$/;
const PLAY = /^(\S+)\s+([^\s-]+)-([^\s-]+)(?:\s+(.+))?$/;
const SPAN = /\|<-* (\d+) (s|min|h|d) -*>\|/g;
const UNITS: Record<string, number> = { s: SECOND, min: MINUTE, h: HOUR, d: DAY };

export function readSections(markdown: string): Section[] {
  return markdown.split(/^(?=#{1,3} )/m).map((section) => {
    const title = section.slice(section.indexOf(' ') + 1, section.indexOf('\n'));
    const examples = [...section.matchAll(/^```whence-example\n([^]*?)^```$/gm)].map(([, source]) => source);
    return { title, isRule: /^\d+\. /.test(title), examples };
  });
}

export function parseExample(source: string): Example {
  const [ruler = '', ...lines] = source.split('\n').filter((line) => line.trim() !== '');
  const times = new Map(tokens(ruler).map(({ text, at }) => [at, timeOf(text)]));
  const drawn: Drawn[] = [];
  const notes: Note[] = [];
  const example: Example = { deliveries: [], plays: [], ledger: null };
  for (const line of lines) {
    const outcome = OUTCOME.exec(line);
    const note = NOTE.exec(line);
    if (outcome) readOutcome(example, outcome[1] as Mode | undefined, outcome[2]);
    else if (line.startsWith(' ')) checkSpans(line, times);
    else if (note) notes.push(readNote(note));
    else drawn.push(...readLane(line, times));
  }
  for (const { about, time } of notes) {
    if (!drawn.some((thing) => isAbout(about, time, thing))) throw new Error(`nothing drawn is meant by "${about}:"`);
  }
  example.deliveries = drawn
    .flatMap((thing, index) => deliver(thing, index, notes))
    .sort((a, b) => a.arrivesAt - b.arrivesAt);
  return example;
}

/** `20:05`, `20:05:30` or `Nov17/20:05`; without a date on November 20th, 2025, UTC. */
export function timeOf(text: string): number {
  const read = /^(?:Nov(\d+)\/)?(\d\d):(\d\d)(?::(\d\d))?$/.exec(text);
  if (read === null) throw new Error(`"${text}" is no time`);
  const [, day = '20', hour, minute, second = '0'] = read;
  return Date.UTC(2025, 10, Number(day), Number(hour), Number(minute), Number(second));
}

function tokens(line: string): { text: string; at: number }[] {
  return [...line.matchAll(/[^\s-]+/g)].map(({ 0: text, index: at }) => ({ text, at }));
}

function readLane(line: string, times: ReadonlyMap<number, number>): Drawn[] {
  const [lane, ...things] = tokens(line);
  return things.flatMap(({ text, at }) => {
    const time = times.get(at);
    if (time === undefined) throw new Error(`"${text}" of ${lane.text} does not begin under a time`);
    const many = /^(\D+)(\d+)\.\.\D+(\d+)$/.exec(text);
    if (many === null) return [{ lane: lane.text, what: text, time }];
    const [, name, first, last] = many;
    // Many impressions, a second apart.
    return Array.from({ length: Number(last) - Number(first) + 1 }, (_, i) => {
      return { lane: lane.text, what: `${name}${Number(first) + i}`, time: time + i * SECOND };
    });
  });
}

/** A line such as `|<-- 30 min -->|` says how far apart the times above its ends are. */
function checkSpans(line: string, times: ReadonlyMap<number, number>): void {
  const spans = [...line.matchAll(SPAN)];
  if (spans.length === 0) throw new Error(`"${line.trim()}" is no span`);
  for (const { 0: text, 1: count, 2: unit, index } of spans) {
    const from = times.get(index);
    const to = times.get(index + text.length - 1);
    if (from === undefined || to === undefined) throw new Error(`"${text}" does not stand between two times`);
    if (to - from !== Number(count) * UNITS[unit]) throw new Error(`"${text}" spans ${(to - from) / SECOND} s`);
  }
}

function readNote([, about, time, attributes]: RegExpExecArray): Note {
  const pairs = attributes.split(/\s+/).map((pair): [string, string] => {
    const cut = pair.indexOf('=');
    return [pair.slice(0, cut), pair.slice(cut + 1)];
  });
  return { about, time: time === undefined ? null : timeOf(time), attributes: pairs };
}

function isAbout(about: string, time: number | null, thing: Drawn): boolean {
  return (about === thing.lane || about === thing.what) && (time === null || time === thing.time);
}

function readOutcome(example: Example, layer: Mode | undefined, text: string): void {
  const ledger = /^ledger\s+(.+)$/.exec(text);
  const play = PLAY.exec(text);
  if (ledger) example.ledger = ledger[1];
  else if (play) {
    const [, playback, from, to, says = ''] = play;
    example.plays.push({ layer: layer ?? null, playback, from, to, says: says.split(/\s+/).filter(Boolean) });
  } else if (text !== 'no play') throw new Error(`"${text}" is no outcome`);
}

/** One thing of a drawing as the records that it arrives in. */
function deliver(thing: Drawn, index: number, notes: readonly Note[]): Delivery[] {
  const given = new Map(
    notes.filter(({ about, time }) => isAbout(about, time, thing)).flatMap(({ attributes }) => attributes),
  );
  const take = (name: string): string | null => {
    const value = given.get(name) ?? null;
    given.delete(name);
    return value;
  };
  const arrivals = take('arrives')?.split(',').map(timeOf) ?? [thing.time];
  const event = thing.lane.includes('/') ? impression(thing, take) : playback(thing, index, take);
  const [unknown] = given.keys();
  if (unknown !== undefined) throw new Error(`"${unknown}" is no attribute of ${thing.what}`);
  return arrivals.map((arrivesAt) => ({ arrivesAt, event }));
}

type Take = (name: string) => string | null;

function common(thing: Drawn, take: Take) {
  return {
    event_time: thing.time,
    profile_id: take('profile') ?? 'ann',
    country: 'US',
    device_type: take('device') ?? 'tv',
    title_id: take('title') ?? 'film',
    series_id: take('series'),
    profile_type: null,
  };
}

function impression(thing: Drawn, take: Take): Event {
  const [page, rowType] = thing.lane.split('/');
  return {
    type: 'impression',
    event_id: thing.what,
    ...common(thing, take),
    page_view_id: 'page-view',
    page,
    row_type: rowType,
    row_id: `${rowType}:1`,
    row_rank: Number(take('rank') ?? 1),
    position: Number(take('pos') ?? 1),
    token: take('token'),
    context: null,
  };
}

function playback(thing: Drawn, index: number, take: Take): Event {
  const action = ACTIONS.find((action) => action === (thing.what === 'beat' ? 'heartbeat' : thing.what));
  if (action === undefined) throw new Error(`"${thing.what}" of ${thing.lane} is no action`);
  const origin = readOrigin(take);
  const kind = take('kind');
  const muted = take('muted');
  const runtime = take('runtime');
  return {
    type: 'playback',
    action,
    event_id: `${thing.lane}.${index}`,
    ...common(thing, take),
    playback_id: thing.lane,
    kind: KINDS.find((known) => known === kind) ?? null,
    muted_autoplay: muted === null ? null : muted === 'yes',
    position_ms: null,
    runtime_ms: runtime === null ? null : Number.parseInt(runtime, 10) * SECOND,
    origin: action === 'start' ? origin : null,
  };
}

function readOrigin(take: Take): Origin | null {
  const from = take('from');
  const named = { impression_id: take('impression'), token: take('token') };
  if (from === null) return null;
  const [surface, rowType = null] = from.split('/');
  return { surface, row_type: rowType, row_id: null, row_rank: null, position: null, ...named };
}
