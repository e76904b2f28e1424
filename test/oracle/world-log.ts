/** From the shape of a world to its log. */

import type { Event, Impression, Origin, Playback } from '../../attribution/events.ts';
import { EPISODES, IMPRESSION_TOPICS, PLAIN_TITLE, PLAYBACK_TOPICS, PROFILES } from './pools.ts';
import type { LogRecord } from './types.ts';
import type {
  ClockSpec,
  CopySpec,
  IdSpec,
  LaunchSpec,
  SceneSpec,
  SeenSpec,
  Shape,
  StepSpec,
  StraySpec,
} from './world-shape.ts';

/** Where the event of a spec belongs. */
interface Place {
  profile: 0 | 1;
  work: 'series' | 'title';
  time: number;
  /** Behind the prefix of an id of its own. */
  number: string;
}

interface Reading {
  event: Event;
  delay: number;
  topic: 0 | 1;
}

export function logOf(shape: Shape, mostEvents: number): LogRecord[] {
  const shown = shape.scenes.map(impressionsOfScene);
  const events = [
    ...shape.scenes.flatMap((scene, index) => [
      ...(shown[index] ?? []),
      ...playbacksOfScene(scene, index, shown[index] ?? [], shown.flat()),
    ]),
    ...shape.strays.map((stray, index) => eventOfStray(stray, index, shown.flat())),
  ].slice(0, mostEvents - shape.copies.length - 2 * shape.clocks.length);
  const readings: Reading[] = events.map((event, index) => ({
    event,
    ...(shape.readings[index] ?? { delay: 0, topic: 0 }),
  }));
  const copies = shape.copies.flatMap((copy) => copyOf(readings[copy.of % readings.length], copy));
  const clocks = shape.clocks.flatMap((clock, index) => clockOf(readings[clock.of % readings.length], clock, index));
  return inReadingOrder([...readings, ...copies, ...clocks], shape);
}

/** Each record is read its delay after its time; offsets are given in that order. */
function inReadingOrder(readings: readonly Reading[], shape: Shape): LogRecord[] {
  const next = new Map<string, number>();
  return [...readings]
    .sort((a, b) => a.event.event_time + a.delay - (b.event.event_time + b.delay))
    .map(({ event, topic: wished }) => {
      const isImpression = event.type === 'impression';
      const hasTwo = (isImpression ? shape.impressionTopics : shape.playbackTopics) === 2;
      const topic = (isImpression ? IMPRESSION_TOPICS : PLAYBACK_TOPICS)[hasTwo ? wished : 0];
      const partition = shape.partitions[event.profile_id === PROFILES[0] ? 0 : 1];
      const offset = next.get(`${topic} ${partition}`) ?? 0;
      next.set(`${topic} ${partition}`, offset + 1);
      return { topic, partition, offset, event };
    });
}

function impressionsOfScene(scene: SceneSpec, index: number): Impression[] {
  return scene.seen.map((seen, number) =>
    impression(seen, { ...scene, time: scene.at - seen.before, number: `${index}i${number}` }),
  );
}

function playbacksOfScene(
  scene: SceneSpec,
  index: number,
  shown: readonly Impression[],
  elsewhere: readonly Impression[],
): Playback[] {
  let time = scene.at;
  return scene.steps.map((step, number) => {
    time += step.gap;
    return playback(step, { ...scene, time, number: `${index}p${number}` }, shown, elsewhere);
  });
}

function eventOfStray(stray: StraySpec, index: number, shown: readonly Impression[]): Event {
  const place = { ...stray, time: stray.at + stray.after, number: `s${index}` };
  return 'seen' in stray.what ? impression(stray.what.seen, place) : playback(stray.what.step, place, shown, shown);
}

function eventId(id: IdSpec, place: Place): string {
  return id.shared ?? `${id.prefix}${place.number}`;
}

function titleOf(work: Place['work'], episode: 0 | 1): { title_id: string; series_id: string | null } {
  return work === 'series' ? EPISODES[episode] : { title_id: PLAIN_TITLE, series_id: null };
}

function impression({ id, tile }: SeenSpec, place: Place): Impression {
  const { episode, ...row } = tile;
  return {
    type: 'impression',
    event_id: eventId(id, place),
    event_time: place.time,
    profile_id: PROFILES[place.profile],
    country: 'US',
    device_type: 'tv',
    page_view_id: 'pv',
    row_id: `${row.row_type}:1`,
    ...row,
    ...titleOf(place.work, episode),
    profile_type: null,
    context: null,
  };
}

function playback(
  step: StepSpec,
  place: Place,
  shown: readonly Impression[],
  elsewhere: readonly Impression[],
): Playback {
  const { id, gap: _, episode, launch, ...said } = step;
  return {
    type: 'playback',
    event_id: eventId(id, place),
    event_time: place.time,
    profile_id: PROFILES[place.profile],
    ...said,
    ...titleOf(place.work, episode),
    position_ms: null,
    profile_type: null,
    origin: launch === null ? null : originOf(launch, shown, elsewhere),
  };
}

/** An origin of each kind: only a surface, or a row of it too, or one that names an impression, held or not. */
function originOf(launch: LaunchSpec, shown: readonly Impression[], elsewhere: readonly Impression[]): Origin {
  const surface: Origin = {
    surface: launch.surface,
    row_type: null,
    row_id: null,
    row_rank: null,
    position: null,
    token: null,
    impression_id: null,
  };
  if (launch.kind === 'surface') return surface;
  const { row_type, row_rank } = launch;
  const row = { ...surface, row_type, row_rank, row_id: row_type, position: row_rank };
  const named = shown[launch.pick % shown.length];
  const any = elsewhere[launch.pick % elsewhere.length];
  switch (launch.kind) {
    case 'row':
      return row;
    case 'token':
      return { ...row, token: shown.find(({ token }) => token !== null)?.token ?? launch.token };
    case 'unheld_token':
      return { ...row, token: 'nowhere' };
    case 'impression':
      return { ...row, impression_id: named?.event_id ?? 'nowhere' };
    case 'unheld_impression':
      // The token does not count beside it, held or not.
      return { ...row, impression_id: 'nowhere', token: launch.token };
    case 'any_impression':
      // Of another scene, so maybe of another work or profile, too old, or after the play.
      return { ...row, impression_id: any?.event_id ?? 'nowhere', token: launch.token };
  }
}

/** With the same id, of the same type; of another profile it is no copy at all. */
function copyOf(original: Reading | undefined, { payload, delay, topic }: CopySpec): Reading[] {
  if (original === undefined) return [];
  return [{ event: altered(original.event, payload), delay, topic }];
}

/** Like another event but for its id, its work and its time, and read beside it in its topic-partition. */
function clockOf(beside: Reading | undefined, { ahead, when, again }: ClockSpec, index: number): Reading[] {
  if (beside === undefined) return [];
  const { event, delay, topic } = beside;
  const clock = { event_id: `clock${index}`, event_time: event.event_time + ahead };
  const delayOfClock = delay - ahead + (when === 'before' ? -0.5 : 0.5);
  const reading: Reading = { event: { ...altered(event, 'other_work'), ...clock }, delay: delayOfClock, topic };
  return again ? [reading, { event, delay: delay + 0.75, topic }] : [reading];
}

function altered(event: Event, payload: CopySpec['payload']): Event {
  switch (payload) {
    case 'same':
      return event;
    case 'moved':
      return event.type === 'impression'
        ? { ...event, event_time: event.event_time - 60_000, row_type: 'top_10', token: 't1' }
        : { ...event, event_time: event.event_time + 60_000, action: 'stop', origin: null };
    case 'other_work':
      return { ...event, ...titleOf(event.series_id === null ? 'series' : 'title', 0) };
    case 'other_profile':
      return { ...event, profile_id: PROFILES[event.profile_id === PROFILES[0] ? 1 : 0] };
  }
}
