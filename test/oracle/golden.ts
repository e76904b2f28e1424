/** The golden cases: loading them, and holding an answer against one. The rules of comparing are in their README. */

import { readdirSync, readFileSync } from 'node:fs';
import type { Event, Impression, Origin, Playback } from '../../attribution/events.ts';
import type { LogRecord, Mode } from './types.ts';

type Optional<T> = { [Field in keyof T]?: T[Field] | null };
type Timed<T> = Omit<T, 'event_time'> & { event_time: number | string };
type OptionalField = 'series_id' | 'token' | 'profile_type' | 'kind' | 'muted_autoplay' | 'position_ms' | 'runtime_ms';
type Loose<T> = Omit<T, OptionalField> & Optional<Pick<T, Extract<keyof T, OptionalField>>>;
type GoldenOrigin = Pick<Origin, 'surface'> & Optional<Omit<Origin, 'surface'>>;
type GoldenPlayback = Loose<Omit<Playback, 'origin'>> & { origin?: GoldenOrigin | null };
/** An event as it is on the wire. */
export type GoldenEvent = Timed<Loose<Impression>> | Timed<GoldenPlayback>;

/** What names a play. */
export interface Named {
  profile_id: string;
  work_id: string;
  started_at: number;
}

/** A play or a discovery: what names it, and the columns that the case is about. */
export type GoldenRow = Named & Record<string, unknown>;

export interface GoldenTouch {
  impression_id: string | null;
  touched_at: number;
  weight: number;
}

export interface GoldenCredit extends Named {
  model: string;
  touches: GoldenTouch[];
}

export interface GoldenCase {
  name: string;
  why: string;
  mode: Mode;
  events: GoldenEvent[];
  partitions?: Record<string, number>;
  plays: GoldenRow[];
  credits?: GoldenCredit[];
  discoveries?: GoldenRow[];
}

/** What an answer must be to be compared: times in epoch milliseconds, columns in snake_case. */
export interface ComparableAnswer {
  plays: readonly Named[];
  discoveries: readonly Named[];
  credits: readonly (Named & GoldenTouch & { model: string; touch_index: number })[];
}

export function loadGolden(): { file: string; cases: GoldenCase[] }[] {
  const folder = new URL('../golden/', import.meta.url);
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => ({ file, cases: JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as GoldenCase[] }));
}

/** The log of a case: an event's offset is its index among those of its topic and partition. */
export function logOf(golden: GoldenCase): LogRecord[] {
  const next = new Map<string, number>();
  return golden.events.map((event) => {
    const topic = event.type === 'impression' ? 'impressions' : 'playback';
    const partition = golden.partitions?.[event.profile_id] ?? 0;
    const offset = next.get(`${topic} ${partition}`) ?? 0;
    next.set(`${topic} ${partition}`, offset + 1);
    return { topic, partition, offset, event: parseEvent(event) };
  });
}

/** A valid event of the wire as the contract's type: its time in milliseconds, null where a field is absent. */
function parseEvent(event: GoldenEvent): Event {
  const common = {
    event_id: event.event_id,
    event_time: typeof event.event_time === 'string' ? Date.parse(event.event_time) : event.event_time,
    profile_id: event.profile_id,
    country: event.country,
    device_type: event.device_type,
    title_id: event.title_id,
    series_id: event.series_id ?? null,
    profile_type: event.profile_type ?? null,
  };
  if (event.type === 'impression')
    return {
      type: 'impression',
      ...common,
      page_view_id: event.page_view_id,
      page: event.page,
      row_type: event.row_type,
      row_id: event.row_id,
      row_rank: event.row_rank,
      position: event.position,
      token: event.token ?? null,
      context: null,
    };
  return {
    type: 'playback',
    ...common,
    action: event.action,
    playback_id: event.playback_id,
    kind: event.kind ?? null,
    muted_autoplay: event.muted_autoplay ?? null,
    position_ms: event.position_ms ?? null,
    runtime_ms: event.runtime_ms ?? null,
    origin: event.origin ? parseOrigin(event.origin) : null,
  };
}

function parseOrigin(origin: GoldenOrigin): Origin {
  return {
    surface: origin.surface,
    row_type: origin.row_type ?? null,
    row_id: origin.row_id ?? null,
    row_rank: origin.row_rank ?? null,
    position: origin.position ?? null,
    token: origin.token ?? null,
    impression_id: origin.impression_id ?? null,
  };
}

/** The differences between an answer and what a case says; none where they agree. */
export function compareToGolden(answer: ComparableAnswer, golden: GoldenCase): string[] {
  return [
    ...compareRows('play', answer.plays, golden.plays),
    ...(golden.discoveries ? compareRows('discovery', answer.discoveries, golden.discoveries) : []),
    ...compareCredits(answer, golden),
  ];
}

/** Columns that no case can state. */
const NEVER_COMPARED = new Set(['play_id', 'layer', 'policy', 'generation', 'state']);

/** The sets must be equal, and each column that the case states; one stated as null must be null. */
function compareRows(what: string, actual: readonly Named[], expected: readonly GoldenRow[]): string[] {
  const differences: string[] = [];
  for (const row of actual) {
    if (actual.filter((other) => nameOf(other) === nameOf(row)).length > 1)
      differences.push(`${what} ${nameOf(row)}: more than once`);
    else if (!expected.some((other) => nameOf(other) === nameOf(row)))
      differences.push(`${what} ${nameOf(row)}: not expected`);
  }
  for (const row of expected) {
    const found = actual.find((other) => nameOf(other) === nameOf(row));
    if (found === undefined) {
      differences.push(`${what} ${nameOf(row)}: missing`);
      continue;
    }
    const columns = new Map<string, unknown>(Object.entries(found));
    for (const [column, value] of Object.entries(row)) {
      if (NEVER_COMPARED.has(column) || JSON.stringify(columns.get(column)) === JSON.stringify(value)) continue;
      const is = JSON.stringify(columns.get(column));
      differences.push(`${what} ${nameOf(row)}: ${column} is ${is}, expected ${JSON.stringify(value)}`);
    }
  }
  return differences;
}

/** `[]`: no play has any credit. Else only the plays and models that have an entry are compared. */
function compareCredits(answer: ComparableAnswer, golden: GoldenCase): string[] {
  if (golden.credits === undefined) return [];
  const rows = answer.credits.filter((credit) => credit.weight !== 0);
  if (golden.credits.length === 0) return rows.length === 0 ? [] : [`credits: ${rows.length} rows, expected none`];
  return golden.credits.flatMap((expected) => {
    const touches = rows
      .filter((credit) => nameOf(credit) === nameOf(expected) && credit.model === expected.model)
      .sort((a, b) => a.touch_index - b.touch_index);
    const name = `credit ${nameOf(expected)} ${expected.model}`;
    if (touches.length !== expected.touches.length)
      return [`${name}: ${touches.length} touches, expected ${expected.touches.length}`];
    return touches.flatMap((touch, index) => compareTouch(`${name} touch ${index}`, touch, expected.touches[index]));
  });
}

/** Within 1e-9, and what is lost in writing such numbers in binary. */
const TOLERANCE = 1e-9 + 1e-12;

function compareTouch(name: string, actual: GoldenTouch, expected: GoldenTouch | undefined): string[] {
  if (expected === undefined) return [`${name}: not expected`];
  const differences: string[] = [];
  for (const column of ['impression_id', 'touched_at'] as const) {
    if (actual[column] !== expected[column])
      differences.push(`${name}: ${column} is ${actual[column]}, expected ${expected[column]}`);
  }
  if (!(Math.abs(actual.weight - expected.weight) <= TOLERANCE))
    differences.push(`${name}: weight is ${actual.weight}, expected ${expected.weight}`);
  return differences;
}

function nameOf({ profile_id, work_id, started_at }: Named): string {
  return JSON.stringify([profile_id, work_id, started_at]);
}
