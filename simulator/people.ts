import type { CountryCatalog, Work } from './catalog.ts';
import { BEHAVIOUR, DAY, DELIVERY, DEVICES, type Device, HOUR, MINUTE, RHYTHM } from './config.ts';
import type { Waiting } from './delivery.ts';
import { flat } from './lines.ts';
import type { Random } from './random.ts';

/** A title that was begun and not ended. */
export interface Begun {
  work: Work;
  episode: number;
  /** Where to take it up, ms. */
  position: number;
  device: Device;
  /** When it was last watched. */
  at: number;
}

const MOST_BEGUN = 6;
const MOST_LISTED = 8;
const MOST_FINISHED = 6;

/** A profile, with a memory that is bounded: what it began, listed and finished last. */
export class Person {
  readonly id: string;
  readonly index: number;
  readonly catalog: CountryCatalog;
  readonly devices: readonly Device[];
  readonly sessionsPerDay: number;
  /** How long its events take to the log, ms. */
  readonly transit: number;
  /** The part of each line that says who and where; the part that says `profile_type`, if anything. */
  readonly who: string;
  readonly profileType: string;
  /** Most recent first. */
  readonly begun: Begun[] = [];
  readonly listed: Work[] = [];
  readonly finished: Work[] = [];
  /** Late events that wait for this profile to be seen again; null where there is none. */
  waiting: Waiting[] | null = null;
  /** Greatest event time delivered on time, of each topic. */
  readonly seen: [impression: number, playback: number] = [0, 0];

  constructor(index: number, id: string, catalog: CountryCatalog, random: Random, sessionsPerDay: number) {
    this.index = index;
    this.id = id;
    this.catalog = catalog;
    this.sessionsPerDay = sessionsPerDay;
    this.transit = random.within(DELIVERY.transit);
    const first = random.below(DEVICES.length);
    this.devices = Array.from({ length: 2 + random.below(2) }, (_, i) => DEVICES[(first + i) % DEVICES.length]);
    this.who = flat(`,"profile_id":"${id}","country":"${catalog.country.code}"`);
    const type = random.chance(0.12) ? 'kids' : 'standard';
    const said = random.float();
    this.profileType = said < 0.5 ? '' : said < 0.58 ? ',"profile_type":null' : `,"profile_type":"${type}"`;
  }

  /** What is left of a work for this profile, where it was begun. */
  begunOf(work: Work): Begun | undefined {
    return this.begun.find((begun) => begun.work === work);
  }

  remember(begun: Begun): void {
    this.forget(begun.work);
    this.begun.unshift(begun);
    if (this.begun.length > MOST_BEGUN) this.begun.pop();
  }

  finish(work: Work): void {
    this.forget(work);
    if (this.finished.includes(work)) return;
    this.finished.unshift(work);
    if (this.finished.length > MOST_FINISHED) this.finished.pop();
  }

  list(work: Work): void {
    if (this.listed.includes(work)) return;
    this.listed.unshift(work);
    if (this.listed.length > MOST_LISTED) this.listed.pop();
  }

  private forget(work: Work): void {
    const begun = this.begun.findIndex((other) => other.work === work);
    if (begun >= 0) this.begun.splice(begun, 1);
    const listed = this.listed.indexOf(work);
    if (listed >= 0) this.listed.splice(listed, 1);
  }
}

/** Zipf-like activity: the first few are at it all day, most come now and then. */
export function makePeople(random: Random, count: number, catalogs: readonly CountryCatalog[]): Person[] {
  const { exponent, most } = BEHAVIOUR.activity;
  let sum = 0;
  for (let i = 0; i < count; i++) sum += (i + 1) ** -exponent;
  return Array.from({ length: count }, (_, i) => {
    const sessions = (BEHAVIOUR.sessionsPerDay * count * (i + 1) ** -exponent) / sum;
    return new Person(i, random.uuid(), pickCountry(random, catalogs), random, Math.min(most, sessions));
  });
}

function pickCountry(random: Random, catalogs: readonly CountryCatalog[]): CountryCatalog {
  let u = random.float();
  for (const catalog of catalogs) {
    if (u < catalog.country.share) return catalog;
    u -= catalog.country.share;
  }
  return catalogs[0];
}

const LIVELIEST = Math.max(...RHYTHM);
const MEAN = RHYTHM.reduce((sum, weight) => sum + weight, 0) / RHYTHM.length;

/** When the profile comes next, by the rhythm of its country's day (thinning of a Poisson process). */
export function nextVisit(random: Random, person: Person, now: number): number {
  const step = (DAY * MEAN) / (person.sessionsPerDay * LIVELIEST);
  let time = now;
  for (;;) {
    time += 1 + random.exponential() * step;
    const hour = Math.floor((time + person.catalog.country.offset * MINUTE) / HOUR) % 24;
    if (random.chance(RHYTHM[hour] / LIVELIEST)) return Math.floor(time);
  }
}
