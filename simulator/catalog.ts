import { CATALOG, COUNTRIES, DAY, type Country, GENRES, MINUTE, SECOND } from './config.ts';
import type { Random } from './random.ts';

/** What is discovered: a film, or a series with its episodes. */
export interface Work {
  readonly id: string;
  /** Of a film: its own id, alone. */
  readonly titles: readonly string[];
  readonly isSeries: boolean;
  /** Of a film, or of each episode. */
  readonly runtime: number;
  readonly genre: number;
  readonly original: boolean;
  /** 0 is the newest. */
  readonly age: number;
  /** A series whose tiles carry the series as their title, rather than the next episode and a `series_id`. */
  readonly shownAsTitle: boolean;
}

/** What one country can watch, each list in the order of that country's taste. */
export class CountryCatalog {
  readonly country: Country;
  readonly ranked: readonly Work[];
  readonly originals: readonly Work[];
  readonly recent: readonly Work[];
  readonly byGenre: readonly (readonly Work[])[];

  constructor(country: Country, ranked: readonly Work[]) {
    this.country = country;
    this.ranked = ranked;
    this.originals = ranked.filter((work) => work.original);
    this.recent = ranked.filter((work) => work.age < CATALOG.works / 6);
    this.byGenre = GENRES.map((_, genre) => ranked.filter((work) => work.genre === genre));
  }

  /** The list that a row draws from, but for rows of a genre and of a profile's own history. */
  listOf(rowType: string): readonly Work[] {
    switch (rowType) {
      case 'netflix_originals':
        return this.originals;
      case 'new_releases':
      case 'recently_added':
        return this.recent;
      default:
        return this.ranked;
    }
  }

  /** The ten of the day: the country's favourites, a little moved on each day. */
  topTen(day: number, position: number): Work {
    return this.ranked[(day + position) % 14];
  }

  featured(day: number, slot: number): Work {
    return this.ranked[(day * 5 + slot * 3) % 40];
  }

  dayOf(time: number): number {
    return Math.floor((time + this.country.offset * MINUTE) / DAY);
  }
}

export function makeCatalogs(random: Random): CountryCatalog[] {
  const works = Array.from({ length: CATALOG.works }, (_, i) => makeWork(random, i));
  const abroad = works.map(() => random.chance(CATALOG.everywhere));
  const homes = works.map(() => new Set(Array.from({ length: 3 }, () => random.pick(COUNTRIES).code)));
  return COUNTRIES.map((country) => {
    const scored: { work: Work; score: number }[] = [];
    for (const [i, work] of works.entries()) {
      const score = Math.log(i + 1) + CATALOG.taste * random.normal();
      if (abroad[i] || homes[i].has(country.code)) scored.push({ work, score });
    }
    scored.sort((a, b) => a.score - b.score);
    return new CountryCatalog(
      country,
      scored.map(({ work }) => work),
    );
  });
}

function makeWork(random: Random, i: number): Work {
  const number = 70_000_000 + i * 4_099;
  const id = String(number);
  const isSeries = random.chance(CATALOG.series);
  const episodes = random.within(CATALOG.episodes);
  const isShort = !isSeries && random.chance(CATALOG.shorts);
  const minutes = random.within(isSeries ? CATALOG.episodeMinutes : CATALOG.filmMinutes);
  return {
    id,
    titles: isSeries ? Array.from({ length: episodes }, (_, episode) => String(number + 1 + episode)) : [id],
    isSeries,
    runtime: isShort ? random.within(CATALOG.shortSeconds) * SECOND : minutes * MINUTE + random.below(MINUTE),
    genre: random.below(GENRES.length),
    original: random.chance(0.3),
    age: random.below(CATALOG.works),
    shownAsTitle: isSeries && random.chance(0.25),
  };
}
