/**
 * A streaming service, simulated: the same options give the same stream, byte by byte.
 *
 * Time goes by in ticks. In each, everyone whose next step is due takes it; the events go into the delivery queue;
 * and what the log receives in that tick comes out. Memory is for the profiles and for what is under way, whatever
 * the number of days.
 */
import { makeCatalogs } from './catalog.ts';
import { DAY, TICK } from './config.ts';
import { type Delivery, DeliveryQueue } from './delivery.ts';
import { dayText, type ExpectedCounts, type Injected, Ledger } from './ledger.ts';
import { makePeople } from './people.ts';
import { Random } from './random.ts';
import { type Session, Sessions } from './sessions.ts';

export interface SimulationOptions {
  profiles: number;
  /** Whole UTC days. */
  days: number;
  /** A whole number, 0 or greater. */
  seed: number;
  /** Midnight (UTC) that the first day begins with, epoch ms. */
  from: number;
}

/** What was injected, and what a reader of the whole stream must count, however many partitions there are. */
export interface LedgerFile {
  seed: number;
  profiles: number;
  days: number;
  /** First and last day. */
  from: string;
  to: string;
  records: number;
  expected: ExpectedCounts[];
  injected: Injected;
}

export interface Simulation {
  /** Ticks of the range: how many batches to expect, apart from the late tail. */
  readonly ticks: number;
  /** The stream in delivery order, one batch a tick. To be read once, to its end. */
  readonly batches: Iterable<readonly Delivery[]>;
  /** Complete once the batches have been read. */
  ledger(): LedgerFile;
}

export function simulate(options: SimulationOptions): Simulation {
  const { profiles, days, seed, from } = options;
  const ledger = new Ledger();
  return {
    ticks: (days * DAY) / TICK,
    batches: live(options, ledger),
    ledger: () => ({
      seed,
      profiles,
      days,
      from: dayText(from),
      to: dayText(from + (days - 1) * DAY),
      records: ledger.records,
      expected: ledger.expected(),
      injected: ledger.injected,
    }),
  };
}

function* live(options: SimulationOptions, ledger: Ledger): Generator<readonly Delivery[]> {
  const { profiles, days, seed, from } = options;
  const ticks = (days * DAY) / TICK;
  const due = new Map<number, Session[]>();
  const schedule = (session: Session): void => {
    const tick = Math.floor((session.at - from) / TICK);
    if (tick >= ticks) return;
    const others = due.get(tick);
    if (others === undefined) due.set(tick, [session]);
    else others.push(session);
  };

  const queue = new DeliveryQueue(new Random(seed, 'delivery'), ledger, from, from + days * DAY);
  const sessions = new Sessions(new Random(seed, 'sessions'), queue, ledger.injected, schedule);
  const catalogs = makeCatalogs(new Random(seed, 'catalog'));
  for (const person of makePeople(new Random(seed, 'people'), profiles, catalogs)) sessions.welcome(person, from);

  for (let tick = 0; tick < ticks || tick < queue.end; tick++) {
    // A step may make another one due within the same tick: the loop sees it.
    for (const session of due.get(tick) ?? []) sessions.step(session);
    due.delete(tick);
    yield queue.take(tick);
  }
  yield queue.rest();
}
