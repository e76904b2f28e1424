/** How often each hard case occurs, counted from the lines of a stream alone. */
import { type Counted, DAY, type Fields, HOUR, MINUTE } from './reader.ts';

/** A number of occurrences, and of what. */
export interface Share {
  found: number;
  of: number;
}

/** What one playback id shows, its events in the order of time. */
interface Playback {
  profile: string;
  work: string;
  devices: Set<string>;
  events: { time: number; fields: Fields }[];
}

export interface Cases {
  /** Hard cases by name. */
  shares: Record<string, Share>;
  /** Values seen, with how often. */
  rowTypes: Map<string, number>;
  surfaces: Map<string, number>;
  isoOffsets: Map<string, number>;
  faults: Map<string, number>;
}

export function casesOf(counted: readonly Counted[]): Cases {
  const shares: Record<string, Share> = {};
  const valid = counted.filter(({ fault }) => fault === null);
  const firsts = valid.filter(({ outcome }) => outcome !== 'duplicate');
  const impressions = firsts.filter(({ topic }) => topic === 'impression');
  const playbackEvents = firsts.filter(({ topic }) => topic === 'playback');
  const share = (name: string, among: readonly unknown[], found: number): void => {
    shares[name] = { found, of: among.length };
  };
  const states = (name: string, among: readonly Counted[], field: string): void => {
    share(`${name}: absent`, among, among.filter(({ fields }) => fields![field] === undefined).length);
    share(`${name}: null`, among, among.filter(({ fields }) => fields![field] === null).length);
    share(`${name}: present`, among, among.filter(({ fields }) => (fields![field] ?? null) !== null).length);
  };

  share('playback among all', firsts, playbackEvents.length);
  share('dead-lettered', counted, counted.length - valid.length);
  share('late', valid, valid.filter(({ outcome }) => outcome === 'late').length);
  const behind = valid.filter(({ outcome }) => outcome === 'late').map(({ greatest, time }) => greatest - time);
  share('late by less than an hour', valid, behind.filter((ms) => ms < HOUR).length);
  share('late by hours', valid, behind.filter((ms) => ms > 3 * HOUR).length);
  share('late, on the next day', valid, valid.filter(onNextDay).length);
  share('excluded', playbackEvents, playbackEvents.filter(({ outcome }) => outcome === 'excluded').length);
  copies(valid, share);
  outOfOrder(valid, share);

  for (const field of ['series_id', 'token', 'profile_type', 'context'])
    states(`impression ${field}`, impressions, field);
  for (const field of ['series_id', 'kind', 'muted_autoplay', 'position_ms', 'runtime_ms', 'profile_type']) {
    states(`playback ${field}`, playbackEvents, field);
  }
  const kind = (name: string): number => playbackEvents.filter(({ fields }) => fields!.kind === name).length;
  share('trailer', playbackEvents, kind('trailer'));
  share('preview', playbackEvents, kind('preview'));
  share('muted', playbackEvents, playbackEvents.filter(({ fields }) => fields!.muted_autoplay === true).length);
  const iso = firsts.filter(({ fields }) => typeof fields!.event_time === 'string');
  share('ISO time', firsts, iso.length);
  const extra = ['app_version', 'sdk'];
  share('unknown fields', firsts, firsts.filter(({ fields }) => extra.some((name) => name in fields!)).length);
  share('not ASCII or escaped', firsts, firsts.filter(({ line }) => /[^ -~]|\\/.test(line)).length);
  const sameTime = new Set(impressions.map(({ profile, time }) => `${profile} ${time}`));
  share('impressions at the same millisecond', impressions, impressions.length - sameTime.size);

  const starts = playbackEvents.filter(({ fields }) => fields!.action === 'start');
  launches(starts, impressions, share, states);
  plays(playbackEvents, share);

  return {
    shares,
    rowTypes: tallied(impressions, ({ fields }) => fields!.row_type as string),
    surfaces: tallied(starts, ({ fields }) => (fields!.origin as Fields | null | undefined)?.surface as string),
    isoOffsets: tallied(iso, ({ fields }) => /Z$|[+-]\d\d:\d\d$/.exec(fields!.event_time as string)![0]),
    faults: tallied(counted, ({ fault }) => fault ?? 'none'),
  };
}

type SetShare = (name: string, among: readonly unknown[], found: number) => void;

function copies(valid: readonly Counted[], share: SetShare): void {
  const lines = new Map<string, string>();
  let identical = 0;
  let conflicting = 0;
  let ofLate = 0;
  const late = new Set<string>();
  for (const { identity, line, outcome } of valid) {
    if (outcome === 'late') late.add(identity);
    if (outcome !== 'duplicate') lines.set(identity, line);
    else if (lines.get(identity) === line) identical++;
    else conflicting++;
    if (outcome === 'duplicate' && late.has(identity)) ofLate++;
  }
  share('identical copies', valid, identical);
  share('conflicting copies', valid, conflicting);
  share('copies of late events', valid, ofLate);
}

/** On time, yet behind what its own profile sent before in the same topic. */
function outOfOrder(valid: readonly Counted[], share: SetShare): void {
  const seen = new Map<string, number>();
  let found = 0;
  let byMinutes = 0;
  for (const { topic, profile, time, outcome } of valid) {
    if (outcome === 'late' || outcome === 'duplicate') continue;
    const before = seen.get(`${topic} ${profile}`) ?? -Infinity;
    if (time < before) found++;
    if (time < before - MINUTE) byMinutes++;
    seen.set(`${topic} ${profile}`, Math.max(before, time));
  }
  share('out of order', valid, found);
  share('out of order by more than a minute', valid, byMinutes);
}

function launches(
  starts: readonly Counted[],
  impressions: readonly Counted[],
  share: SetShare,
  states: (name: string, among: readonly Counted[], field: string) => void,
): void {
  const ids = new Set(impressions.map(({ fields }) => fields!.event_id));
  const tokens = new Set(impressions.map(({ fields }) => fields!.token));
  states('origin', starts, 'origin');
  const origins = starts
    .map(({ fields }) => (fields!.origin ?? null) as Fields | null)
    .filter((origin) => origin !== null);
  const fromTiles = origins.filter(
    ({ surface }) => surface === 'home' || surface === 'post_play' || surface === 'search',
  );
  const count = (test: (origin: Fields) => boolean): number => fromTiles.filter(test).length;
  share(
    'launch by token',
    fromTiles,
    count((each) => names(each, 'token')),
  );
  share(
    'launch by impression id',
    fromTiles,
    count((each) => names(each, 'impression_id')),
  );
  share(
    'launch by both',
    fromTiles,
    count((each) => names(each, 'token') && names(each, 'impression_id')),
  );
  share('launch by row only', fromTiles, count(rowOnly));
  const orphan = (each: Fields): boolean =>
    names(each, 'impression_id') ? !ids.has(each.impression_id) : names(each, 'token') && !tokens.has(each.token);
  share('orphan token or impression id', fromTiles, count(orphan));
  share(
    'null token in an origin',
    fromTiles,
    count((each) => each.token === null),
  );
}

function plays(events: readonly Counted[], share: SetShare): void {
  const byId = new Map<string, Playback>();
  for (const { fields, time, profile } of events) {
    const id = fields!.playback_id as string;
    const work = (fields!.series_id ?? fields!.title_id) as string;
    if (!byId.has(id)) byId.set(id, { profile, work, devices: new Set(), events: [] });
    const playback = byId.get(id)!;
    playback.devices.add(fields!.device_type as string);
    playback.events.push({ time, fields: fields! });
  }
  for (const { events } of byId.values()) events.sort((a, b) => a.time - b.time);
  const teaser = ({ events }: Playback): boolean =>
    events.some(({ fields }) => fields.kind === 'trailer' || fields.kind === 'preview');
  const silent = ({ events }: Playback): boolean => events.some(({ fields }) => fields.muted_autoplay === true);
  const all = [...byId.values()];
  const main = all.filter((playback) => !teaser(playback) && !silent(playback));
  const has = (playback: Playback, action: string): boolean =>
    playback.events.some(({ fields }) => fields.action === action);
  share('missing start', main, main.filter((each) => !has(each, 'start')).length);
  share('missing stop', main, main.filter((each) => !has(each, 'stop')).length);
  share('short runtime', main, main.filter(({ events }) => events.some(isShort)).length);
  share('runtime of 0', main, main.filter(({ events }) => events.some((each) => each.fields.runtime_ms === 0)).length);
  const gap = ({ events }: Playback): boolean =>
    events.some(({ time }, i) => i > 0 && time - events[i - 1].time > HOUR / 2);
  share('taken up after a gap under the same playback id', main, main.filter(gap).length);
  const turned = ({ events }: Playback): boolean =>
    events.some(({ fields }, i) => fields.muted_autoplay === true && events.slice(i).some(soundOn));
  share('muted autoplay', all, all.filter(silent).length);
  share('muted autoplay that turned into watching', all, all.filter(turned).length);
  const saysOnce = ({ events }: Playback): boolean => {
    const said = events.filter(({ fields }) => (fields.kind ?? null) !== null).length;
    return said > 0 && said < events.length;
  };
  const teasers = all.filter(teaser);
  share('trailer or preview of which some events say nothing', teasers, teasers.filter(saysOnce).length);

  const keys = grouped(
    all.filter((each) => !teaser(each)),
    ({ profile, work }) => `${profile} ${work}`,
  );
  const stitched = [...keys.values()];
  share('work watched on several devices', stitched, stitched.filter(onSeveralDevices).length);
  share(
    'work taken up after hours',
    stitched,
    stitched.filter((each) => gapsOf(each).some((ms) => ms > 2 * HOUR)).length,
  );
  share('handed over within half an hour', stitched, stitched.filter(handedOver).length);
  share('binge over midnight', stitched, stitched.filter(overMidnight).length);
  share('two screens at once', main, twoScreens(main));
}

function soundOn({ fields }: { fields: Fields }): boolean {
  return fields.muted_autoplay === false;
}

function onSeveralDevices(playbacks: readonly Playback[]): boolean {
  return new Set(playbacks.flatMap(({ devices }) => [...devices])).size > 1;
}

function gapsOf(playbacks: readonly Playback[]): number[] {
  const times = playbacks.flatMap(({ events }) => events.map(({ time }) => time)).sort((a, b) => a - b);
  return times.slice(1).map((time, i) => time - times[i]);
}

function spans(playbacks: readonly Playback[]): { from: number; to: number; device: string; episodes: string }[] {
  return playbacks
    .map(({ events, devices }) => ({
      from: events[0].time,
      to: events.at(-1)!.time,
      device: [...devices].join(),
      episodes: events[0].fields.title_id as string,
    }))
    .sort((a, b) => a.from - b.from);
}

function handedOver(playbacks: readonly Playback[]): boolean {
  const sorted = spans(playbacks);
  return sorted.some((next, i) => {
    const gap = i > 0 ? next.from - sorted[i - 1].to : NaN;
    return gap > 0 && gap < HOUR / 2 && next.device !== sorted[i - 1].device;
  });
}

/** Two episodes within half an hour of each other, that begin on different days. */
function overMidnight(playbacks: readonly Playback[]): boolean {
  const sorted = spans(playbacks);
  return sorted.some((next, i) => {
    if (i === 0 || next.episodes === sorted[i - 1].episodes) return false;
    const before = sorted[i - 1];
    return next.from - before.to < HOUR / 2 && Math.floor(next.from / DAY) > Math.floor(before.from / DAY);
  });
}

/** Playbacks of one profile that begin while another one runs on another device. */
function twoScreens(playbacks: readonly Playback[]): number {
  let found = 0;
  for (const own of grouped(playbacks, ({ profile }) => profile).values()) {
    const sorted = spans(own);
    for (const [i, next] of sorted.entries()) {
      if (sorted.slice(0, i).some((other) => other.to > next.from && other.device !== next.device)) found++;
    }
  }
  return found;
}

function tallied<T>(among: readonly T[], valueOf: (each: T) => string | undefined): Map<string, number> {
  const counts = new Map<string, number>();
  for (const each of among) {
    const value = valueOf(each);
    if (value !== undefined) counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  return counts;
}

function grouped<T>(among: readonly T[], keyOf: (each: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const each of among) {
    const key = keyOf(each);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [each]);
    else group.push(each);
  }
  return groups;
}

function onNextDay({ greatest, time, outcome }: Counted): boolean {
  return outcome === 'late' && Math.floor(greatest / DAY) > Math.floor(time / DAY);
}

function names(origin: Fields, field: string): boolean {
  return (origin[field] ?? null) !== null;
}

function isShort({ fields }: { fields: Fields }): boolean {
  const runtime = fields.runtime_ms as number;
  return runtime > 0 && runtime < 4 * MINUTE;
}

function rowOnly(origin: Fields): boolean {
  return !names(origin, 'token') && !names(origin, 'impression_id') && names(origin, 'row_type');
}
