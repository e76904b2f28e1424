/** From the log to the facts: which events each layer applies, and the ledger of the speed layer. */

import type { Event } from '../../attribution/events.ts';
import { byCodeUnit, byPlace, groups, identity, utcDay } from './order.ts';
import { defaultParameters, type OracleParameters } from './parameters.ts';
import type { LogRecord, Mode } from './types.ts';

/** The events that count in a layer, each once. */
export function facts(log: readonly LogRecord[], mode: Mode, parameters: OracleParameters): Event[] {
  const memory = mode === 'batch' ? Infinity : parameters.copyMemory;
  return oneOfEach(mode === 'batch' ? log : onTime(log, parameters), memory).map((record) => record.event);
}

/**
 * Of several copies the one at the smallest (topic, partition, offset) counts, whatever the others say. The speed layer
 * remembers events for a while only: there, records of one id that are dated further apart are events of their own.
 */
function oneOfEach(records: readonly LogRecord[], memory: number): LogRecord[] {
  const copies = groups([...records].sort(byPlace), (record) => identity(record.event));
  return copies.flatMap((same) =>
    same.filter((record, i) => !same.slice(0, i).some((other) => near(record, other, memory))),
  );
}

function near(a: LogRecord, b: LogRecord, memory: number): boolean {
  return Math.abs(a.event.event_time - b.event.event_time) <= memory;
}

/** What the speed layer applies: neither duplicates nor late events. An excluded event still is a fact. */
function onTime(log: readonly LogRecord[], parameters: OracleParameters): LogRecord[] {
  return decide(log, parameters)
    .filter(({ decision }) => decision === 'applied' || decision === 'excluded')
    .map(({ record }) => record);
}

export type Decision = 'duplicate' | 'late' | 'excluded' | 'applied';

/** What the speed layer makes of each record, decided by the record and the earlier log of its topic-partition. */
export function decide(
  log: readonly LogRecord[],
  parameters: OracleParameters = defaultParameters,
): { record: LogRecord; decision: Decision }[] {
  const decided: { record: LogRecord; decision: Decision }[] = [];
  for (const records of topicPartitions(log)) {
    /** The greatest event time of the valid records so far, of any kind. */
    let clock = -Infinity;
    /** For each event, the clock just after its latest copy was read. */
    const readAt = new Map<string, number>();
    for (const record of records) {
      const { event } = record;
      const clockBefore = clock;
      clock = Math.max(clock, event.event_time);
      const latest = readAt.get(identity(event));
      const isCopy = latest !== undefined && clockBefore - latest <= parameters.copyMemory;
      readAt.set(identity(event), clock);
      const isLate = event.event_time + parameters.lateness < clockBefore;
      decided.push({ record, decision: decisionOf(isCopy, isLate, saysItIsNotCounted(event)) });
    }
  }
  return decided;
}

/** A copy is a duplicate first, also of a late event; an excluded one may be late first. */
function decisionOf(isCopy: boolean, isLate: boolean, isExcluded: boolean): Decision {
  if (isCopy) return 'duplicate';
  if (isLate) return 'late';
  if (isExcluded) return 'excluded';
  return 'applied';
}

/** Excluded: the record itself says trailer, preview or muted. */
function saysItIsNotCounted(event: Event): boolean {
  if (event.type === 'impression') return false;
  return event.kind === 'trailer' || event.kind === 'preview' || event.muted_autoplay === true;
}

/** The records of each topic-partition, in the order of their offsets. */
function topicPartitions(log: readonly LogRecord[]): LogRecord[][] {
  return groups([...log].sort(byPlace), ({ topic, partition }) => JSON.stringify([topic, partition]));
}

export interface LedgerRow {
  topic: string;
  partition: number;
  /** UTC date of the event. */
  day: string;
  consumed: number;
  applied: number;
  duplicate: number;
  late: number;
  excluded: number;
}

/** Per topic, partition and event day: consumed = applied + duplicate + late + excluded. */
export function speedLedger(log: readonly LogRecord[], parameters: OracleParameters = defaultParameters): LedgerRow[] {
  const rows: LedgerRow[] = [];
  for (const { record, decision } of decide(log, parameters)) {
    const { topic, partition } = record;
    const day = utcDay(record.event.event_time);
    let row = rows.find((row) => row.topic === topic && row.partition === partition && row.day === day);
    if (row === undefined) {
      row = { topic, partition, day, consumed: 0, applied: 0, duplicate: 0, late: 0, excluded: 0 };
      rows.push(row);
    }
    row.consumed += 1;
    row[decision] += 1;
  }
  return rows.sort((a, b) => byCodeUnit(a.topic, b.topic) || a.partition - b.partition || byCodeUnit(a.day, b.day));
}
