/** Runs the core over a log as the two layers do, and gives its answer in the shape of the oracle's. */

import { crc32 } from 'node:zlib';
import { LogClock } from '../../attribution/clock.ts';
import { derive } from '../../attribution/derive.ts';
import { attribute, type AttributedPlay } from '../../attribution/discovery.ts';
import { FactStore, type Outcome } from '../../attribution/facts/fact-store.ts';
import { KeyView } from '../../attribution/facts/key-view.ts';
import { WEIGHT_UNITS, weigh } from '../../attribution/models.ts';
import { describePlay, type Play, type Source } from '../../attribution/plays.ts';
import { defaultPolicy, type Layer, type Policy } from '../../attribution/policy.ts';
import type { LogRecord, OracleAnswer, OracleCredit, OraclePlay } from '../oracle/oracle.ts';

/** A reader of a log: facts and plays by key, as the speed layer keeps them. */
export class CoreReader {
  readonly store: FactStore;
  readonly outcomes: Outcome[] = [];
  conflicts = 0;
  readonly #view: KeyView;
  readonly #clocks = new Map<string, LogClock>();
  readonly #plays = new Map<number, Play[]>();
  readonly #sources: string[];
  readonly #layer: Layer;
  readonly #policy: Policy;

  constructor(log: readonly LogRecord[], layer: Layer, policy: Policy = defaultPolicy) {
    // Batch recognises every copy.
    this.store = new FactStore(policy, layer === 'batch' ? Infinity : undefined);
    this.#view = new KeyView(this.store);
    this.#layer = layer;
    this.#policy = policy;
    this.#sources = [...new Set(log.map(sourceOf))].sort();
  }

  /** Takes some records, then derives the keys that changed. */
  read(records: readonly LogRecord[]): void {
    const changed = new Set<number>();
    for (const record of records) {
      const { key, lost } = this.#observe(record);
      if (key >= 0) changed.add(key);
      for (const fact of lost) changed.add(fact.key);
    }
    for (const key of changed) {
      this.#view.load(key);
      const decisions = derive(this.#view, this.#policy.rules[this.#layer]);
      this.#plays.set(
        key,
        decisions.map((decision) => describePlay(decision, this.#view)),
      );
    }
  }

  answer(): OracleAnswer {
    const attributed = [...this.#plays.values()].flatMap((plays) => attribute(plays)).sort(byKeyAndStart);
    return {
      plays: attributed.map(playColumns),
      discoveries: attributed
        .filter((play) => play.is_discovery)
        .map((play) => ({
          ...named(play),
          discovered_at: play.started_at,
          ...sodColumns(play.sod),
        })),
      credits: attributed.flatMap((play) => creditsOf(play, this.#policy)),
    };
  }

  #observe(record: LogRecord) {
    const name = sourceOf(record);
    const clock = this.#clocks.get(name) ?? new LogClock();
    this.#clocks.set(name, clock);
    const { event } = record;
    const late = this.#layer === 'speed' && clock.isLate(event.event_time, this.#policy.rules.speed);
    const observed = this.store.observe(
      event,
      this.#sources.indexOf(name),
      clock.now,
      late,
      crc32(JSON.stringify(event)),
    );
    clock.advance(event.event_time);
    this.outcomes.push(observed.outcome);
    if (observed.conflict) this.conflicts++;
    return observed;
  }
}

/** The core's answer to a whole log, derived once. */
export function coreAnswer(log: readonly LogRecord[], layer: Layer): OracleAnswer {
  const reader = new CoreReader(log, layer);
  reader.read(log);
  return reader.answer();
}

/** A topic-partition as a name that sorts by topic, then partition. */
function sourceOf(record: LogRecord): string {
  return `${record.topic}\0${String(record.partition).padStart(6, '0')}`;
}

function playColumns(play: AttributedPlay): OraclePlay {
  const { play_id: _, sop, sod, candidate: __, ...columns } = play;
  return {
    ...columns,
    sop_surface: sop.surface,
    sop_class: sop.class,
    sop_row_type: sop.row_type,
    sop_row_id: sop.row_id,
    sop_row_rank: sop.row_rank,
    sop_position: sop.position,
    sop_impression_id: sop.impression_id,
    sop_evidence: sop.evidence,
    ...sodColumns(sod),
  };
}

function sodColumns(source: Source) {
  return {
    sod_surface: source.surface,
    sod_class: source.class,
    sod_row_type: source.row_type,
    sod_row_id: source.row_id,
    sod_row_rank: source.row_rank,
    sod_position: source.position,
    sod_impression_id: source.impression_id,
    sod_evidence: source.evidence,
  };
}

function creditsOf(play: AttributedPlay, policy: Policy): OracleCredit[] {
  const touchedAt = play.path.map((touch) => touch.touched_at);
  return policy.models.flatMap((model) =>
    weigh(model, touchedAt).flatMap((weight, index) => {
      if (weight === 0) return [];
      const { impression_id, row_type, row_rank, position, touched_at } = play.path[index];
      const touch = { touch_index: index, impression_id, row_type, row_rank, position, touched_at };
      return [{ ...named(play), model: model.name, ...touch, weight: weight / WEIGHT_UNITS }];
    }),
  );
}

function named(play: Play) {
  return { profile_id: play.profile_id, work_id: play.work_id, started_at: play.started_at };
}

function byKeyAndStart(a: Play, b: Play): number {
  if (a.profile_id !== b.profile_id) return a.profile_id < b.profile_id ? -1 : 1;
  if (a.work_id !== b.work_id) return a.work_id < b.work_id ? -1 : 1;
  return a.started_at - b.started_at;
}
