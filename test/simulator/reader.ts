/**
 * A reader of the stream that shares nothing with the simulator: it looks at the lines alone, with the contract and
 * the rules of counting written down once more, naively.
 */
import { simulate, type LedgerFile, type SimulationOptions } from '../../simulator/simulate.ts';

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
/** When the lines are sent, in this test: after all of the days simulated. */
const SENT_AT = Date.UTC(2026, 0, 1);

export type Fields = Record<string, unknown>;
export type Topic = 'impression' | 'playback';
export type Outcome = 'applied' | 'duplicate' | 'late' | 'excluded' | 'dead_lettered';

export interface Read {
  line: string;
  /** null where the line is no JSON object. */
  fields: Fields | null;
  topic: Topic;
  /** What is wrong with it; null where it is valid. */
  fault: string | null;
  /** NaN where it cannot be read. */
  time: number;
  profile: string;
  /** Of a valid record: what makes it the same as another one. */
  identity: string;
}

export function read(line: string): Read {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { line, fields: null, topic: 'impression', fault: 'not_json', time: NaN, profile: '', identity: '' };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { line, fields: null, topic: 'impression', fault: 'not_object', time: NaN, profile: '', identity: '' };
  }
  const fields = value as Fields;
  const time = timeOf(fields.event_time);
  const profile = String(fields.profile_id);
  const topic = fields.type === 'playback' ? 'playback' : 'impression';
  const identity = `${topic} ${profile} ${String(fields.event_id)}`;
  return { line, fields, topic, fault: faultOf(fields, time), time, profile, identity };
}

function timeOf(value: unknown): number {
  let time = NaN;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0) time = value;
  if (typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(value)) {
    time = Date.parse(value);
  }
  return time;
}

const STRINGS = ['event_id', 'profile_id', 'country', 'device_type', 'title_id'];
const REQUIRED = {
  impression: [...STRINGS, 'page_view_id', 'page', 'row_type', 'row_id', 'row_rank', 'position'],
  playback: [...STRINGS, 'playback_id', 'action'],
};

function faultOf(fields: Fields, time: number): string | null {
  if (fields.type === undefined) return 'missing_field';
  if (fields.type !== 'impression' && fields.type !== 'playback') return 'unknown_type';
  if (fields.event_time === undefined || fields.event_time === null) return 'missing_time';
  if (Number.isNaN(time)) return 'bad_time';
  if (time > SENT_AT + 5 * MINUTE) return 'future_time';
  for (const name of REQUIRED[fields.type]) {
    const value = fields[name];
    if (value === undefined) return 'missing_field';
    if (name === 'row_rank' || name === 'position') {
      if (!Number.isInteger(value)) return 'mistyped_field';
      continue;
    }
    if (typeof value !== 'string') return 'mistyped_field';
    if (value === '') return 'empty_id';
    if (value.length > 256) return 'long_id';
    if (value.includes('\0')) return 'nul_character';
    if (!value.isWellFormed()) return 'lone_surrogate';
  }
  const origin = fields.origin ?? null;
  const well =
    (fields.type === 'impression' ||
      ['start', 'heartbeat', 'pause', 'resume', 'stop'].includes(String(fields.action))) &&
    oneOf(fields.kind, ['main', 'trailer', 'preview']) &&
    oneOf(fields.muted_autoplay, [true, false]) &&
    oneOf(fields.profile_type, ['standard', 'kids']) &&
    isA(fields.series_id, 'string') &&
    isA(fields.token, 'string') &&
    isA(fields.position_ms, 'number') &&
    isA(fields.runtime_ms, 'number') &&
    (origin === null || (typeof origin === 'object' && typeof (origin as Fields).surface === 'string'));
  return well ? null : 'mistyped_field';
}

export interface Counted extends Read {
  outcome: Outcome;
  /** Greatest event time earlier in its topic-partition, before it. */
  greatest: number;
}

/** Reads the log as so many partitions. */
export function count(records: readonly Read[], partitions: number): Counted[] {
  const greatest = new Map<string, number>();
  const known = new Map<string, Set<string>>();
  return records.map((record) => {
    const log = `${record.topic} ${partitionOf(record.profile, partitions)}`;
    const before = greatest.get(log) ?? -Infinity;
    if (record.fault !== null) return { ...record, outcome: 'dead_lettered', greatest: before };
    greatest.set(log, Math.max(before, record.time));
    if (!known.has(log)) known.set(log, new Set());
    const ids = known.get(log)!;
    let outcome: Outcome;
    if (ids.has(record.identity)) outcome = 'duplicate';
    else if (record.time + 10 * MINUTE < before) outcome = 'late';
    else {
      const { kind, muted_autoplay: muted } = record.fields!;
      outcome = kind === 'trailer' || kind === 'preview' || muted === true ? 'excluded' : 'applied';
    }
    ids.add(record.identity);
    return { ...record, outcome, greatest: before };
  });
}

function partitionOf(profile: string, partitions: number): number {
  let hash = 7;
  for (const character of profile) hash = (hash * 31 + character.codePointAt(0)!) % 1_000_003;
  return hash % partitions;
}

/** As the ledger states it. */
export function tally(counted: readonly Counted[]): LedgerFile['expected'] {
  const rows = new Map<string, LedgerFile['expected'][number]>();
  for (const { topic, time, outcome } of counted) {
    const day = Number.isFinite(time) ? new Date(time).toISOString().split('T')[0].replace(/^\+0*/, '') : null;
    const key = `${topic} ${day ?? '~'}`;
    if (!rows.has(key)) {
      rows.set(key, { topic, day, consumed: 0, applied: 0, duplicate: 0, late: 0, excluded: 0, dead_lettered: 0 });
    }
    const row = rows.get(key)!;
    row.consumed++;
    row[outcome]++;
  }
  return [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}

export interface Stream {
  records: Read[];
  ledger: LedgerFile;
}

export function stream(options: Partial<SimulationOptions> = {}): Stream {
  const simulation = simulate({ profiles: 800, days: 2, seed: 7, from: Date.UTC(2025, 10, 20), ...options });
  const records: Read[] = [];
  for (const batch of simulation.batches) for (const { line } of batch) records.push(read(line));
  return { records, ledger: simulation.ledger() };
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}

function oneOf(value: unknown, allowed: unknown[]): boolean {
  return isAbsent(value) || allowed.includes(value);
}

function isA(value: unknown, type: string): boolean {
  return isAbsent(value) || typeof value === type;
}
