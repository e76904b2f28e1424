/** Page views: which rows a page has, which of their tiles come into view, and the impressions of those alone. */
import type { Work } from './catalog.ts';
import { BEHAVIOUR, DAY, type Device, GENRES, HOME_ROWS, SECOND, WRITING } from './config.ts';
import type { DeliveryQueue } from './delivery.ts';
import { IMPRESSION } from './ledger.ts';
import { extras, impressionLine, type Place, queryText, rowText, timeText, titleText, unknownFields } from './lines.ts';
import type { Person } from './people.ts';
import type { Random } from './random.ts';

/** A tile that was seen, as a launch from it may name it. */
export interface Tile {
  place: Place;
  position: number;
  work: Work;
  impressionId: string;
  /** null: the server handed out none. */
  token: string | null;
}

/** Rows of what the profile did itself, as opposed to what the country's catalog offers. */
type OwnRow = 'continue' | 'list' | 'again';

export class Pages {
  private readonly random: Random;
  private readonly queue: DeliveryQueue;
  /** The page view in hand; filled anew by each. */
  private tiles: Tile[] = [];
  private person!: Person;
  private device!: Device;
  private pageView = '';
  private time = 0;
  /** The row in hand, and the text that its impressions share. */
  private place!: Place;
  private row = '';

  constructor(random: Random, queue: DeliveryQueue) {
    this.random = random;
    this.queue = queue;
  }

  /** Returns the tiles seen, in the order in which they came into view, and when the last one had been looked at. */
  home(person: Person, device: Device, now: number): { tiles: Tile[]; until: number } {
    const { random } = this;
    this.open(person, device, now);
    const day = person.catalog.dayOf(now);
    const billboard = person.catalog.featured(day, person.index % 3);
    let rank = 0;
    this.begin({ page: 'home', rowType: 'billboard', rowId: 'billboard', rank: rank++ });
    this.tile(billboard, 0);
    const begins = device.type === 'phone' ? 'keep_watching' : 'continue_watching';
    if (this.own('continue', begins, rank)) rank++;
    const turn = Math.abs(person.index * 7 + Math.floor(now / DAY) * 3);
    for (let i = 0; i < HOME_ROWS.length; i++) {
      if (rank > 2 && !random.chance(BEHAVIOUR.scrollsOn)) break;
      const rowType = HOME_ROWS[(turn + i) % HOME_ROWS.length];
      if (this.homeRow(rowType, turn + i, day, rank)) rank++;
    }
    return this.close();
  }

  /** The results of a search, the title that was looked for among them. */
  search(person: Person, device: Device, now: number): { tiles: Tile[]; until: number } {
    this.open(person, device, now);
    const query = queryText(this.random);
    const rowId = `search:${this.random.below(1_000)}`;
    const count = 1 + this.random.below(device.columns);
    this.begin({ page: 'search', rowType: 'search', rowId, rank: 0 });
    for (let position = 0; position < count; position++) {
      this.tile(this.random.pick(person.catalog.ranked), position, query);
    }
    return this.close();
  }

  /** The page of one title, with similar ones below. */
  details(person: Person, device: Device, now: number, work: Work): { tiles: Tile[]; until: number } {
    this.open(person, device, now);
    this.begin({ page: 'details', rowType: 'details', rowId: `details:${work.id}`, rank: 0 });
    this.tile(work, 0);
    if (this.random.chance(0.5)) {
      const similar = person.catalog.byGenre[work.genre];
      this.offer({ page: 'details', rowType: 'more_to_explore', rowId: `mte:${work.id}`, rank: 1 }, similar);
    }
    return this.close();
  }

  /** What is offered when a title has ended. */
  postPlay(person: Person, device: Device, now: number, ended: Work): { tiles: Tile[]; until: number } {
    this.open(person, device, now);
    const similar = person.catalog.byGenre[ended.genre];
    const first = this.random.zipf(similar.length);
    this.begin({ page: 'post_play', rowType: 'post_play', rowId: `post_play:${ended.id}`, rank: 0 });
    for (let position = 0; position < 3; position++) {
      this.tile(similar[(first + position) % similar.length], position);
    }
    return this.close();
  }

  private open(person: Person, device: Device, now: number): void {
    this.tiles = [];
    this.person = person;
    this.device = device;
    this.pageView = this.random.uuid();
    this.time = now;
  }

  private close(): { tiles: Tile[]; until: number } {
    return { tiles: this.tiles, until: this.time + this.random.within([SECOND, 20 * SECOND]) };
  }

  /** False where there is nothing to show in such a row. */
  private homeRow(rowType: string, turn: number, day: number, rank: number): boolean {
    const { catalog, begun, finished } = this.person;
    switch (rowType) {
      case 'my_list':
        return this.own('list', this.device.type === 'tv' ? 'my_list' : 'watchlist', rank);
      case 'watch_it_again':
        return this.own('again', rowType, rank);
      case 'because_you_watched': {
        const because = finished[0] ?? begun[0]?.work;
        if (because === undefined) return false;
        this.offer({ page: 'home', rowType, rowId: `byw:${because.id}`, rank }, catalog.byGenre[because.genre]);
        return true;
      }
      case 'top_10': {
        this.scrollTo({ page: 'home', rowType, rowId: `top_10:${day}`, rank });
        const shown = this.shown(10);
        for (let position = 0; position < shown; position++) this.tile(catalog.topTen(day, position), position);
        return true;
      }
      case 'genre': {
        const genre = turn % GENRES.length;
        this.offer({ page: 'home', rowType, rowId: `genre:${GENRES[genre]}`, rank }, catalog.byGenre[genre]);
        return true;
      }
      default:
        this.offer({ page: 'home', rowType, rowId: rowType, rank }, catalog.listOf(rowType));
        return true;
    }
  }

  /** A row of what the profile began, listed or finished; none where there is nothing of the kind. */
  private own(kind: OwnRow, rowType: string, rank: number): boolean {
    const { begun, finished, listed } = this.person;
    const count = kind === 'continue' ? begun.length : kind === 'list' ? listed.length : finished.length;
    if (count === 0) return false;
    this.scrollTo({ page: 'home', rowType, rowId: rowType, rank });
    const shown = this.shown(count);
    for (let position = 0; position < shown; position++) {
      const work = kind === 'continue' ? begun[position].work : (kind === 'list' ? listed : finished)[position];
      this.tile(work, position);
    }
    return true;
  }

  /** A row that the catalog fills: favourites more often than others, hardly a title twice. */
  private offer(place: Place, works: readonly Work[]): void {
    this.scrollTo(place);
    const shown = this.shown(works.length);
    const first = this.tiles.length;
    for (let position = 0; position < shown; position++) {
      let work = works[this.random.zipf(works.length)];
      for (let tries = 0; tries < 3 && this.isShown(work, first); tries++) {
        work = works[this.random.below(works.length)]!;
      }
      this.tile(work, position);
    }
  }

  private isShown(work: Work, since: number): boolean {
    for (let i = since; i < this.tiles.length; i++) if (this.tiles[i].work === work) return true;
    return false;
  }

  /** How many tiles of a row come into view. */
  private shown(available: number): number {
    const { columns } = this.device;
    return Math.min(available, this.random.chance(BEHAVIOUR.scrollsSideways) ? 2 * columns : columns);
  }

  private scrollTo(place: Place): void {
    this.time += this.random.within([300, 6 * SECOND]);
    this.begin(place);
  }

  private begin(place: Place): void {
    this.place = place;
    this.row = rowText(this.person.who, this.device.type, this.pageView, place);
  }

  private tile(work: Work, position: number, context = ''): void {
    const { random, person, place, time } = this;
    const id = random.uuid();
    const u = random.float();
    const token = u < WRITING.tokenAbsent + WRITING.tokenNull ? null : `t.${random.hex()}`;
    const said = token !== null ? `,"token":"${token}"` : u < WRITING.tokenNull ? ',"token":null' : '';
    const begun = work.titles.length > 1 ? person.begunOf(work) : undefined;
    const title =
      work.isSeries && !work.shownAsTitle
        ? titleText(work.titles[begun?.episode ?? 0], work.id, random)
        : titleText(work.id, null, random);
    const rest = `${said}${person.profileType}${context === '' ? extras(random) : context + unknownFields(random)}`;
    const line = impressionLine(id, timeText(random, time), this.row, position, title, rest);
    this.queue.accept(person, IMPRESSION, time, line, false);
    this.tiles.push({ place, position, work, impressionId: id, token });
    // Most of a row comes into view at once, at the same millisecond.
    if (random.chance(0.3)) this.time += random.below(40);
  }
}
