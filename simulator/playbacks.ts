/** Playbacks: one playback id from launch to stop, as the events that a player would send. */
import type { Work } from './catalog.ts';
import { BEHAVIOUR, DELIVERY, type Device, MINUTE, SECOND, WRITING } from './config.ts';
import type { DeliveryQueue } from './delivery.ts';
import { type Injected, PLAYBACK } from './ledger.ts';
import { flat, playbackLine, timeText, titleText, unknownFields } from './lines.ts';
import type { Person } from './people.ts';
import type { Random } from './random.ts';

export interface Viewing {
  readonly person: Person;
  readonly device: Device;
  readonly work: Work;
  readonly episode: number;
  /** Where in the title it begins, ms. */
  readonly position: number;
  /** When it begins. */
  readonly at: number;
  /** As text, see launches.ts. */
  readonly origin: string;
}

export interface Watched {
  readonly until: number;
  readonly position: number;
  /** Watched to the end. */
  readonly ended: boolean;
  /** Left within two minutes. */
  readonly atOnce: boolean;
}

type Says = 'trailer' | 'preview' | 'main';

export class Playbacks {
  private readonly random: Random;
  private readonly queue: DeliveryQueue;
  private readonly injected: Injected;
  /** The playback in hand. */
  private person!: Person;
  private what = '';
  private runtime = 0;
  private offlineUntil = 0;
  /** Plain watching: events may say so, unasked. Of a trailer or a muted billboard, what is not said stays unsaid. */
  private plain = true;

  constructor(random: Random, queue: DeliveryQueue, injected: Injected) {
    this.random = random;
    this.queue = queue;
    this.injected = injected;
  }

  /** The main content, watched for a while. */
  watch(viewing: Viewing): Watched {
    const { random, injected } = this;
    const { leaves } = BEHAVIOUR;
    this.begin(viewing, viewing.work.titles[viewing.episode], viewing.work.runtime);
    this.plain = true;
    injected.plays++;
    if (this.runtime < 4 * MINUTE) injected.short_runtimes++;
    const left = Math.max(SECOND, this.runtime - viewing.position);
    const u = random.float();
    const atOnce = u < leaves.atOnce;
    const ended = !atOnce && u < leaves.atOnce + leaves.atEnd;
    const length = Math.min(
      left,
      atOnce ? random.within([3 * SECOND, 110 * SECOND]) : ended ? left : random.below(left),
    );
    if (viewing.device.downloads && random.chance(BEHAVIOUR.offline)) {
      injected.offline_plays++;
      this.offlineUntil = viewing.at + length + random.mixed(DELIVERY.lateHold);
    }
    if (random.chance(BEHAVIOUR.missingStart)) injected.missing_starts++;
    else this.event('start', viewing.at, viewing.position, viewing.origin);
    const until = this.run(viewing.at, viewing.position, length);
    return { until, position: viewing.position + length, ended, atOnce };
  }

  /**
   * A billboard begins by itself, muted. It may be watched after all, under the same playback id: returns what was
   * watched then, or null.
   */
  billboard(viewing: Viewing): Watched | null {
    const { random, injected } = this;
    const { isPreview, watched } = BEHAVIOUR.billboard;
    this.begin(viewing, viewing.work.titles[viewing.episode], viewing.work.runtime);
    injected.muted_autoplay++;
    const turns = random.chance(watched);
    const preview = !turns && random.chance(isPreview);
    if (preview) injected.previews++;
    const says = preview ? 'preview' : null;
    const silent = random.within([4 * SECOND, 28 * SECOND]);
    const { at, position } = viewing;
    this.event('start', at, position, viewing.origin, says, true);
    // Some clients say on each event that they are muted, others only where it changes.
    if (silent > 15 * SECOND) this.event('heartbeat', at + 10 * SECOND, position + 10 * SECOND, '', says, null);
    if (!turns) {
      this.event('stop', at + silent, position + silent, '', says, random.chance(0.6) ? true : null);
      return null;
    }
    injected.muted_turned_watching++;
    injected.plays++;
    this.plain = true;
    this.event('resume', at + silent, position + silent, '', null, false);
    const length = Math.max(SECOND, Math.floor((this.runtime - position - silent) * random.float()));
    const until = this.run(at + silent, position + silent, length);
    return { until, position: position + silent + length, ended: false, atOnce: length < 2 * MINUTE };
  }

  /** A trailer with sound, or a silent preview under the pointer: has an id and a runtime of its own, and counts not. */
  teaser(viewing: Viewing, says: 'trailer' | 'preview'): number {
    const { random, injected } = this;
    const muted = says === 'preview';
    if (muted) injected.previews++;
    else injected.trailers++;
    this.begin(viewing, viewing.work.titles[0], random.within([30 * SECOND, 150 * SECOND]));
    const length = Math.floor(this.runtime * (0.2 + 0.8 * random.float()));
    this.event('start', viewing.at, 0, viewing.origin, says, muted ? true : null);
    // What follows need not repeat what the start said.
    const again = random.chance(0.6) ? says : null;
    if (length > 40 * SECOND) this.event('heartbeat', viewing.at + 30 * SECOND, 30 * SECOND, '', again, null);
    this.event('stop', viewing.at + length, length, '', again, null);
    return viewing.at + length;
  }

  private begin({ person, device, work }: Viewing, titleId: string, runtime: number): void {
    this.person = person;
    this.runtime = runtime;
    this.offlineUntil = 0;
    this.plain = false;
    const title = titleText(titleId, work.isSeries ? work.id : null, this.random);
    this.what = flat(`${person.who},"device_type":"${device.type}","playback_id":"${this.random.uuid()}"${title}`);
  }

  /** From a start or resume on: heartbeats, pauses, and a stop when `length` has been watched. Returns when. */
  private run(at: number, position: number, length: number): number {
    const { random } = this;
    const { heartbeats, pause } = BEHAVIOUR;
    let time = at;
    let watched = 0;
    for (let beat = 0; ; beat++) {
      const step = heartbeats[Math.min(beat, heartbeats.length - 1)] * SECOND + random.below(200);
      if (watched + step >= length) break;
      watched += step;
      time += step;
      if (!random.chance(pause.share)) {
        this.event('heartbeat', time, position + watched);
        continue;
      }
      this.event('pause', time, position + watched);
      const forHours = random.chance(pause.hours);
      if (forHours) this.injected.paused_for_hours++;
      time += random.within(forHours ? pause.long : pause.short);
      this.event('resume', time, position + watched);
    }
    time += length - watched;
    if (random.chance(BEHAVIOUR.missingStop)) this.injected.missing_stops++;
    else this.event('stop', time, position + length);
    return time;
  }

  private event(
    action: string,
    time: number,
    position: number,
    origin = '',
    says: Says | null = null,
    muted: boolean | null = null,
  ): void {
    const { random, person } = this;
    const rest = `${this.kindText(says)}${this.mutedText(muted)}${this.progressText(position)}${person.profileType}${origin}`;
    const line = playbackLine(
      action,
      random.uuid(),
      timeText(random, time),
      this.what,
      `${rest}${unknownFields(random)}`,
    );
    const excluded = says === 'trailer' || says === 'preview' || muted === true;
    this.queue.accept(person, PLAYBACK, time, line, excluded, this.offlineUntil);
  }

  private kindText(says: Says | null): string {
    if (says !== null) return `,"kind":"${says}"`;
    const u = this.random.float();
    if (u < WRITING.kindNull) return ',"kind":null';
    return this.plain && u < WRITING.kindNull + WRITING.kindSaid ? ',"kind":"main"' : '';
  }

  private mutedText(muted: boolean | null): string {
    if (muted !== null) return `,"muted_autoplay":${muted}`;
    const u = this.random.float();
    if (u < WRITING.mutedNull) return ',"muted_autoplay":null';
    return this.plain && u < WRITING.mutedNull + WRITING.mutedSaid ? ',"muted_autoplay":false' : '';
  }

  private progressText(position: number): string {
    const u = this.random.float();
    const at =
      u < WRITING.positionAbsent
        ? ''
        : u < WRITING.positionAbsent + WRITING.positionNull
          ? ',"position_ms":null'
          : `,"position_ms":${position}`;
    const v = this.random.float();
    if (v < WRITING.runtimeAbsent) return at;
    if (v < WRITING.runtimeAbsent + WRITING.runtimeNull) return `${at},"runtime_ms":null`;
    return v < WRITING.runtimeAbsent + WRITING.runtimeNull + WRITING.runtimeZero
      ? `${at},"runtime_ms":0`
      : `${at},"runtime_ms":${this.runtime}`;
  }
}
