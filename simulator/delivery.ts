/**
 * The way from the devices to the log: order, delay, copies, losses. Events come in as they happen, batches go out as
 * the log receives them, one tick at a time.
 *
 * What makes the ledger true for any number of partitions:
 * - Nothing is delivered before it happened, and what is on time is delivered less than ALLOWED_LATENESS after. So no
 *   record before it in the topic is further ahead than that, whichever of them share its partition.
 * - A late event waits until a record of its own profile and topic, hence of its own partition, has been delivered
 *   on time with an event time more than ALLOWED_LATENESS ahead. If its profile is not seen again, it is lost.
 * - A copy follows its first, under the same key.
 */
import { ALLOWED_LATENESS, DAY, DELIVERY, MINUTE, SECOND, TICK } from './config.ts';
import type { Ledger, Outcome, PoisonKind, Topic } from './ledger.ts';
import type { Person } from './people.ts';
import { makePoison } from './poison.ts';
import type { Random } from './random.ts';

/** One record of the stream. */
export interface Delivery {
  /** When the log receives it. */
  readonly at: number;
  readonly topic: Topic;
  /** Event time; NaN where it cannot be read. */
  readonly time: number;
  readonly outcome: Outcome;
  readonly line: string;
  readonly person: Person;
  readonly mark: 'held' | 'conflict' | PoisonKind | null;
}

/** An event that will be late. */
export interface Waiting {
  readonly topic: Topic;
  readonly time: number;
  readonly line: string;
  /** The log does not receive it earlier. */
  readonly notBefore: number;
}

const { late, outOfOrder, duplicate, conflict, poison } = DELIVERY;
const HELD = late.share + outOfOrder.share;
const COPIED = HELD + duplicate.share;
const CONFLICTED = COPIED + conflict.share;
const POISONED = CONFLICTED + poison.share;

export class DeliveryQueue {
  private readonly planned = new Map<number, Delivery[]>();
  private after = 0;
  private readonly waiting = new Set<Person>();

  private readonly random: Random;
  private readonly ledger: Ledger;
  private readonly from: number;
  private readonly to: number;

  constructor(random: Random, ledger: Ledger, from: number, to: number) {
    this.random = random;
    this.ledger = ledger;
    this.from = from;
    this.to = to;
  }

  /**
   * An event happens. `offlineUntil`: its device has no network before that time, 0 where it has.
   * What happens after the end of the range is left out.
   */
  accept(person: Person, topic: Topic, time: number, line: string, excluded: boolean, offlineUntil = 0): void {
    if (time >= this.to) return;
    const { random } = this;
    const outcome = excluded ? 'excluded' : 'applied';
    const at = time + person.transit + random.within(DELIVERY.jitter);
    if (offlineUntil > 0 && this.wait(person, { topic, time, line, notBefore: offlineUntil })) return;
    const u = random.float();
    if (u >= POISONED) {
      this.push({ at, topic, time, outcome, line, person, mark: null });
    } else if (u < late.share) {
      const notBefore = time + random.mixed(DELIVERY.lateHold);
      if (this.wait(person, { topic, time, line, notBefore })) return;
      this.push({ at, topic, time, outcome, line, person, mark: null });
    } else if (u < HELD) {
      this.push({ at: time + random.within(outOfOrder.hold), topic, time, outcome, line, person, mark: 'held' });
    } else {
      this.push({ at, topic, time, outcome, line, person, mark: null });
      if (u < COPIED) this.copy(person, topic, time, line, at, null);
      else if (u < CONFLICTED) this.copyInConflict(person, topic, time, line, at);
      else {
        const broken = makePoison(random, line, time);
        const mark = broken.kind;
        this.push({ ...broken, at: at + random.below(SECOND), outcome: 'dead_lettered', person, mark });
      }
    }
  }

  /** What the log receives in this tick of the range, in order. All that happens in it must have been accepted. */
  take(tick: number): readonly Delivery[] {
    const batch = this.planned.get(tick);
    if (batch === undefined) return [];
    this.planned.delete(tick);
    batch.sort((a, b) => a.at - b.at); // stable: a copy was pushed after its first
    for (const delivery of batch) {
      this.count(delivery);
      if (delivery.outcome === 'applied' || delivery.outcome === 'excluded') this.seen(delivery, tick);
    }
    return batch;
  }

  /** The first tick after all that are planned. */
  get end(): number {
    return this.after;
  }

  /** After the last tick: what still waits arrives if that makes it late, and is lost otherwise. */
  rest(): readonly Delivery[] {
    const batch: Delivery[] = [];
    const now = this.from + this.after * TICK;
    for (const person of this.waiting) {
      for (const event of person.waiting ?? []) {
        if (isBehind(event, person)) batch.push(lateDelivery(person, event, Math.max(event.notBefore, now)));
        else this.ledger.injected.lost++;
      }
      person.waiting = null;
    }
    batch.sort((a, b) => a.at - b.at);
    for (const delivery of batch) this.count(delivery);
    return batch;
  }

  private push(delivery: Delivery): void {
    const tick = Math.floor((delivery.at - this.from) / TICK);
    const batch = this.planned.get(tick);
    if (batch === undefined) this.planned.set(tick, [delivery]);
    else batch.push(delivery);
    if (tick >= this.after) this.after = tick + 1;
  }

  private copy(person: Person, topic: Topic, time: number, line: string, first: number, mark: 'conflict' | null): void {
    const at = first + this.random.mixed(DELIVERY.copyDelay);
    if (at > time + DELIVERY.copyHorizon) return;
    this.push({ at, topic, time, outcome: 'duplicate', line, person, mark });
  }

  private copyInConflict(person: Person, topic: Topic, time: number, line: string, first: number): void {
    const fields = JSON.parse(line) as Record<string, unknown>;
    const earlier = this.random.chance(0.4) ? this.random.within([1, 30 * SECOND]) : 0;
    if (earlier > 0) fields['event_time'] = time - earlier;
    else if (this.random.chance(0.5)) fields['device_type'] = fields['device_type'] === 'tv' ? 'web' : 'tv';
    else fields['title_id'] = '70000000';
    this.copy(person, topic, time - earlier, differing(fields, line), first, 'conflict');
  }

  private wait(person: Person, event: Waiting): boolean {
    person.waiting ??= [];
    if (person.waiting.length >= DELIVERY.lateWaiting) return false;
    person.waiting.push(event);
    this.waiting.add(person);
    return true;
  }

  /** A record was delivered on time: the profile is seen again, and what waited behind it may follow. */
  private seen({ person, topic, time, at }: Delivery, tick: number): void {
    if (time > person.seen[topic]) person.seen[topic] = time;
    if (person.waiting === null) return;
    const still: Waiting[] = [];
    for (const event of person.waiting) {
      if (event.topic !== topic || at < event.notBefore || !isBehind(event, person)) {
        still.push(event);
        continue;
      }
      const next = this.from + (tick + 1) * TICK + this.random.below(MINUTE);
      this.push(lateDelivery(person, event, next));
      if (this.random.chance(0.05)) this.copy(person, topic, event.time, event.line, next, null);
    }
    person.waiting = still.length > 0 ? still : null;
    if (still.length === 0) this.waiting.delete(person);
  }

  private count(delivery: Delivery): void {
    const { injected } = this.ledger;
    this.ledger.count(delivery);
    const { outcome, mark } = delivery;
    if (outcome === 'late') {
      injected.late++;
      if (Math.floor(delivery.time / DAY) < Math.floor(delivery.at / DAY)) injected.late_across_midnight++;
    } else if (outcome === 'duplicate') {
      injected.duplicates++;
    }
    if (mark === null) return;
    if (mark === 'held') injected.out_of_order++;
    else if (mark === 'conflict') injected.conflicts++;
    else injected.poison[mark]++;
  }
}

function isBehind(event: Waiting, person: Person): boolean {
  return person.seen[event.topic] > event.time + ALLOWED_LATENESS + SECOND;
}

function lateDelivery(person: Person, { topic, time, line }: Waiting, at: number): Delivery {
  return { at, topic, time, outcome: 'late', line, person, mark: null };
}

/** Never the same bytes as the first copy, even where the changed field happened to hold that value. */
function differing(fields: Record<string, unknown>, line: string): string {
  const text = JSON.stringify(fields);
  return text === line ? JSON.stringify({ ...fields, resent: true }) : text;
}
