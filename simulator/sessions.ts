/**
 * What people do, step by step: a visit opens, pages are browsed, something is launched, watched, watched on. Each
 * step emits its events and says when the next one is due, so that only the visits that are under way take memory.
 */
import type { Work } from './catalog.ts';
import { BEHAVIOUR, DAY, type Device, HOUR, MINUTE, SECOND } from './config.ts';
import type { DeliveryQueue } from './delivery.ts';
import { Launches } from './launches.ts';
import type { Injected } from './ledger.ts';
import { Pages, type Tile } from './pages.ts';
import { nextVisit, type Person } from './people.ts';
import { Playbacks, type Viewing, type Watched } from './playbacks.ts';
import type { Random } from './random.ts';

/** What will be played at the next step. */
interface Launch {
  work: Work;
  episode: number;
  position: number;
  origin: string;
}

/** One screen in use. A profile has one that comes back all its life, and second screens now and then. */
export interface Session {
  readonly person: Person;
  device: Device;
  /** Second screens end, and open no third. */
  readonly isSecond: boolean;
  /** When the next step is due. */
  at: number;
  step: 'open' | 'browse' | 'search' | 'play';
  launch: Launch | null;
  /** Episodes that followed one another so far. */
  binge: number;
}

export class Sessions {
  private readonly random: Random;
  private readonly injected: Injected;
  private readonly pages: Pages;
  private readonly playbacks: Playbacks;
  private readonly launches: Launches;
  private readonly schedule: (session: Session) => void;

  /** `schedule` is called with each session whose next step is known. */
  constructor(random: Random, queue: DeliveryQueue, injected: Injected, schedule: (session: Session) => void) {
    this.random = random;
    this.injected = injected;
    this.pages = new Pages(random, queue);
    this.playbacks = new Playbacks(random, queue, injected);
    this.launches = new Launches(random, injected);
    this.schedule = schedule;
  }

  /** A profile that will come by the rhythm of its day. */
  welcome(person: Person, now: number): void {
    const at = nextVisit(this.random, person, now);
    const device = person.devices[0];
    this.schedule({ person, device, isSecond: false, at, step: 'open', launch: null, binge: 0 });
  }

  step(session: Session): void {
    switch (session.step) {
      case 'open':
        return this.open(session);
      case 'browse':
        return this.browse(session);
      case 'search':
        return this.search(session);
      case 'play':
        return this.play(session);
    }
  }

  private open(session: Session): void {
    const { random } = this;
    const { person } = session;
    session.device = random.chance(0.6) ? person.devices[0] : random.pick(person.devices);
    session.binge = 0;
    const { search, ...surfaces } = BEHAVIOUR.opensWith;
    let u = random.float();
    if (u < search) return this.search(session);
    u -= search;
    for (const [surface, share] of Object.entries(surfaces)) {
      if (u < share) {
        // A notification is about a series that goes on; the others lead anywhere.
        const begun = surface === 'notification' ? person.begun[0]?.work : undefined;
        const work = begun ?? person.catalog.ranked[random.zipf(person.catalog.ranked.length)];
        return this.launch(session, this.launchOf(session, work, this.launches.fromSurface(surface)), session.at);
      }
      u -= share;
    }
    this.browse(session);
  }

  private browse(session: Session): void {
    const { random } = this;
    const { person, device, at } = session;
    const { tiles, until } = this.pages.home(person, device, at);
    if (device.autoplays && random.chance(BEHAVIOUR.billboard.autoplays) && this.billboard(session, tiles[0])) return;
    if (random.chance(BEHAVIOUR.listed)) person.list(random.pick(tiles).work);
    if (random.chance(BEHAVIOUR.hoverPreview)) {
      const tile = random.pick(tiles);
      this.playbacks.teaser(this.viewing(session, this.launchOf(session, tile.work, ''), until), 'preview');
    }
    const { launch, details, search, browse } = BEHAVIOUR.afterBrowsing;
    const u = random.float();
    if (u < launch) this.launchTile(session, this.choose(tiles), until);
    else if (u < launch + details) this.details(session, this.choose(tiles), until);
    else if (u < launch + details + search) this.next(session, 'search', until);
    else if (u < launch + details + search + browse) this.next(session, 'browse', until);
    else this.leave(session, until);
  }

  private search(session: Session): void {
    const { tiles, until } = this.pages.search(session.person, session.device, session.at);
    if (this.random.chance(0.75)) this.launchTile(session, this.random.pick(tiles), until);
    else this.next(session, 'browse', until);
  }

  private details(session: Session, tile: Tile, at: number): void {
    const { random } = this;
    const { person, device } = session;
    const { tiles, until } = this.pages.details(person, device, at + random.within([500, 3 * SECOND]), tile.work);
    let end = until;
    if (random.chance(BEHAVIOUR.details.trailer)) {
      const origin = this.launches.fromSurface('details');
      end = this.playbacks.teaser(this.viewing(session, this.launchOf(session, tile.work, origin), until), 'trailer');
    }
    if (!random.chance(BEHAVIOUR.details.play)) return this.next(session, 'browse', end);
    // The token that came along is that of the tile on the page before, or that of the details page itself.
    const origin = this.launches.fromTile(random.chance(0.6) ? tile : tiles[0], 'details');
    this.launch(session, this.launchOf(session, tile.work, origin), end);
  }

  /** The billboard begins by itself; true where it was watched then and this goes on from there. */
  private billboard(session: Session, tile: Tile): boolean {
    const at = session.at + this.random.within([SECOND, 3 * SECOND]);
    const launch = this.launchOf(session, tile.work, this.launches.fromTile(tile));
    const watched = this.playbacks.billboard(this.viewing(session, launch, at));
    if (watched === null) return false;
    this.afterPlay(session, launch, watched);
    return true;
  }

  private play(session: Session): void {
    const launch = session.launch!;
    this.secondScreen(session);
    this.noteResumption(session, launch.work);
    this.afterPlay(session, launch, this.playbacks.watch(this.viewing(session, launch, session.at)));
  }

  private afterPlay(session: Session, launch: Launch, watched: Watched): void {
    const { random } = this;
    const { person, device } = session;
    const { work, episode } = launch;
    const { until, ended, atOnce } = watched;
    const hasNext = work.isSeries && episode + 1 < work.titles.length;
    if (ended && !hasNext) person.finish(work);
    else if (ended) person.remember({ work, episode: episode + 1, position: 0, device, at: until });
    else if (!atOnce) person.remember({ work, episode, position: watched.position, device, at: until });

    const after = BEHAVIOUR.afterPlay;
    if (ended && hasNext && session.binge < BEHAVIOUR.longestBinge && random.chance(after.nextEpisode)) {
      session.binge++;
      const at = until + random.within([3 * SECOND, 12 * SECOND]);
      this.injected.autoplay_next++;
      if (Math.floor(session.at / DAY) < Math.floor(at / DAY)) this.injected.binges_over_midnight++;
      const origin = this.launches.fromSurface('autoplay_next');
      return this.launch(session, { work, episode: episode + 1, position: 0, origin }, at);
    }
    session.binge = 0;
    if (ended && random.chance(after.postPlay)) return this.postPlay(session, work, until);
    if (!ended && !atOnce && random.chance(BEHAVIOUR.handover.share)) return this.handOver(session, launch, watched);
    if (atOnce ? random.chance(0.6) : random.chance(after.browse)) return this.next(session, 'browse', until);
    this.leave(session, until);
  }

  private postPlay(session: Session, ended: Work, until: number): void {
    const { tiles, until: seen } = this.pages.postPlay(session.person, session.device, until, ended);
    if (this.random.chance(BEHAVIOUR.afterPlay.postPlayLaunch)) {
      this.launchTile(session, this.random.pick(tiles), seen);
    } else {
      this.next(session, 'browse', seen);
    }
  }

  /** The same title goes on at once on another device, launched from the row of begun titles there. */
  private handOver(session: Session, { work, episode }: Launch, { until, position }: Watched): void {
    const { random } = this;
    const { person } = session;
    const other = random.pick(person.devices.filter((device) => device !== session.device));
    session.device = other;
    this.injected.handovers++;
    const { tiles, until: seen } = this.pages.home(person, other, until + random.within(BEHAVIOUR.handover.gap));
    const tile = tiles.find((candidate) => candidate.work === work && candidate.place.rank === 1) ?? tiles[0];
    this.launch(session, { work, episode, position, origin: this.launches.fromTile(tile) }, seen);
  }

  private secondScreen(session: Session): void {
    const { random } = this;
    if (session.isSecond || !random.chance(BEHAVIOUR.secondScreen.share)) return;
    const { person } = session;
    const device = random.pick(person.devices.filter((other) => other !== session.device));
    const at = session.at + random.within(BEHAVIOUR.secondScreen.after);
    this.injected.two_screens++;
    // Half of them look for something else, half run the same title a second time.
    const { launch } = session;
    const step = random.chance(0.5) ? 'browse' : 'play';
    this.schedule({ person, device, isSecond: true, at, step, launch, binge: 0 });
  }

  private noteResumption(session: Session, work: Work): void {
    const begun = session.person.begunOf(work);
    if (begun === undefined) return;
    if (begun.device !== session.device) this.injected.resumed_on_another_device++;
    if (session.at - begun.at > HOUR) this.injected.resumed_after_hours++;
  }

  /** Often what was begun, else rather one of the tiles seen first. */
  private choose(tiles: readonly Tile[]): Tile {
    const { random } = this;
    const begun = tiles.find(
      ({ place: { rowType } }) => rowType === 'continue_watching' || rowType === 'keep_watching',
    );
    if (begun !== undefined && random.chance(BEHAVIOUR.prefersContinuing)) return begun;
    const u = random.float();
    return tiles[Math.floor(tiles.length * u * u)];
  }

  private launchTile(session: Session, tile: Tile, at: number): void {
    this.launch(session, this.launchOf(session, tile.work, this.launches.fromTile(tile)), at);
  }

  /** Taken up where the profile left the work, else from its beginning. */
  private launchOf({ person }: Session, work: Work, origin: string): Launch {
    const begun = person.begunOf(work);
    return { work, episode: begun?.episode ?? 0, position: begun?.position ?? 0, origin };
  }

  private viewing({ person, device }: Session, { work, episode, position, origin }: Launch, at: number): Viewing {
    return { person, device, work, episode, position, at, origin };
  }

  private launch(session: Session, launch: Launch, at: number): void {
    session.launch = launch;
    session.step = 'play';
    session.at = at + this.random.within([200, 4 * SECOND]);
    this.schedule(session);
  }

  private next(session: Session, step: 'browse' | 'search', at: number): void {
    session.step = step;
    session.at = at + this.random.within([SECOND, 40 * SECOND]);
    this.schedule(session);
  }

  private leave(session: Session, at: number): void {
    if (session.isSecond) return;
    session.step = 'open';
    session.launch = null;
    session.at = nextVisit(this.random, session.person, at + 5 * MINUTE);
    this.schedule(session);
  }
}
