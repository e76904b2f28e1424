import { ORIGIN_CODES, type KeyFacts } from '../derive.ts';
import { CLASS_CODES } from '../policy.ts';
import type { ImpressionWords, KeyWords, PlaybackWords } from '../plays.ts';
import { ByteReader, sameText } from './bytes.ts';
import { CHECKSUM_BYTES, CHUNK_RECORDS, PLAYBACK_FLAG } from './chunk.ts';
import type { FactStore } from './fact-store.ts';
import {
  readImpression,
  readPlayback,
  readPlaybackInto,
  splitPlace,
  type ImpressionPayload,
  type OriginPayload,
  type PlaybackPayload,
} from './record.ts';

const NO_ORIGIN_CLASS = CLASS_CODES.discovery;

/**
 * The facts of one key of a `FactStore` as sorted columns for `derive`, with the strings behind them read on demand.
 * One view is loaded again and again; what it held before is gone.
 */
export class KeyView implements KeyFacts, KeyWords {
  readonly impressions = { count: 0, time: new Float64Array(64), surfaceClass: new Uint8Array(64) };
  readonly playbacks = {
    count: 0,
    time: new Float64Array(64),
    action: new Uint8Array(64),
    playback: new Int32Array(64),
    kind: new Uint8Array(64),
    muted: new Uint8Array(64),
    runtime: new Float64Array(64),
    origin: new Uint8Array(64),
    originClass: new Uint8Array(64),
  };
  playbackIds = 0;
  readonly #store: FactStore;
  readonly #reader = new ByteReader();
  #key = -1;
  #numbers: number[] = [];
  /** Record numbers by index of the columns. */
  #impressionNumbers: number[] = [];
  #playbackNumbers: number[] = [];
  #origins: (OriginPayload | null)[] = [];
  /** Where each playback id was first seen. */
  readonly #playbackIdsAt: { bytes: Uint8Array; at: number }[] = [];

  constructor(store: FactStore) {
    this.#store = store;
  }

  /** Loads a key's facts. */
  load(key: number): this {
    this.#key = key;
    this.#impressionNumbers = [];
    this.#playbackNumbers = [];
    const count = this.#store.recordsOf(key, this.#numbers);
    // From the oldest on: what was read in order of time needs no sorting.
    for (let i = count - 1; i >= 0; i--) {
      const number = this.#numbers[i];
      const chunk = this.#store.chunkOf(number);
      const isPlayback = (chunk.flags(number % CHUNK_RECORDS) & PLAYBACK_FLAG) !== 0;
      (isPlayback ? this.#playbackNumbers : this.#impressionNumbers).push(number);
    }
    this.#fillImpressions();
    this.#fillPlaybacks();
    return this;
  }

  /** How many facts were loaded. */
  get count(): number {
    return this.#impressionNumbers.length + this.#playbackNumbers.length;
  }

  /**
   * The numbers of the records that are not among the greatest by time, then by event id.
   *
   * @param most so many are left aside
   * @param kept indices of playback events that are never given
   */
  beyond(most: number, kept: readonly number[]): Set<number> {
    const keep = new Set(kept.map((index) => this.#playbackNumbers[index]));
    const numbers = [...this.#impressionNumbers, ...this.#playbackNumbers];
    numbers.sort((a, b) => this.#timeOf(b) - this.#timeOf(a) || compareCodeUnits(this.#eventId(b), this.#eventId(a)));
    return new Set(numbers.slice(most).filter((number) => !keep.has(number)));
  }

  get profileId(): string {
    return this.#store.profiles.text(this.#store.keys.profileOf(this.#key));
  }

  get workId(): string {
    return this.#store.works.text(this.#store.keys.workOf(this.#key));
  }

  impressionId(index: number): string {
    return this.#eventId(this.#impressionNumbers[index]);
  }

  impression(index: number): ImpressionPayload {
    return readImpression(this.#open(this.#impressionNumbers[index]));
  }

  playbackEventId(index: number): string {
    return this.#eventId(this.#playbackNumbers[index]);
  }

  playback(index: number): PlaybackPayload {
    return readPlayback(this.#open(this.#playbackNumbers[index]));
  }

  impressionWords(index: number): ImpressionWords {
    const { place, rowRank, position } = this.impression(index);
    const { surface, rowType, rowId } = splitPlace(this.#store.dictionaries.places.text(place));
    const id = this.impressionId(index);
    const time = this.impressions.time[index];
    return { id, surface, rowType: rowType ?? '', rowId: rowId ?? '', rowRank, position, time };
  }

  playbackWords(index: number): PlaybackWords {
    const { playbackId, title, country, device, origin } = this.playback(index);
    const { labels } = this.#store.dictionaries;
    return {
      playbackId,
      title: labels.text(title),
      country: labels.text(country),
      device: labels.text(device),
      origin: origin && this.#originWords(origin),
    };
  }

  #originWords({ place, rowRank, position }: OriginPayload): PlaybackWords['origin'] {
    const { surface, rowType, rowId } = splitPlace(this.#store.dictionaries.places.text(place));
    return { surface, rowType, rowId, rowRank, position };
  }

  /** Where the playback event stands: the number of its source, and the offset there. */
  playbackPlace(index: number): { source: number; offset: number } {
    const number = this.#playbackNumbers[index];
    const reader = this.#store.chunkOf(number).openText(this.#reader, number % CHUNK_RECORDS);
    reader.skipText();
    reader.byte();
    const source = reader.varint();
    reader.varint();
    reader.at += CHECKSUM_BYTES;
    return { source, offset: reader.varint() };
  }

  names(playback: number, impression: number): boolean {
    const origin = this.#origins[playback];
    if (!origin) return false;
    if (origin.names === ORIGIN_CODES.byId) return origin.impressionId === this.impressionId(impression);
    return origin.token === this.impression(impression).token;
  }

  #fillImpressions(): void {
    const numbers = this.#impressionNumbers;
    sortUnlessSorted(numbers, (a, b) => this.#compareImpressions(a, b));
    const columns = this.impressions;
    columns.count = numbers.length;
    if (columns.time.length < numbers.length) {
      columns.time = new Float64Array(numbers.length * 2);
      columns.surfaceClass = new Uint8Array(numbers.length * 2);
    }
    for (let i = 0; i < numbers.length; i++) {
      columns.time[i] = this.#timeOf(numbers[i]);
      const reader = this.#open(numbers[i]);
      reader.varint();
      reader.varint();
      columns.surfaceClass[i] = this.#store.placeClass[reader.varint()];
    }
  }

  #fillPlaybacks(): void {
    const numbers = this.#playbackNumbers;
    sortUnlessSorted(numbers, (a, b) => this.#comparePlaybacks(a, b));
    const columns = this.playbacks;
    columns.count = numbers.length;
    if (columns.time.length < numbers.length) this.#growPlaybacks(numbers.length * 2);
    this.#playbackIdsAt.length = 0;
    this.#origins.length = 0;
    for (let i = 0; i < numbers.length; i++) {
      const reader = this.#open(numbers[i]);
      columns.time[i] = this.#timeOf(numbers[i]);
      columns.playback[i] = this.#indexOf(reader);
      const origin = readPlaybackInto(reader, columns, i);
      columns.origin[i] = origin?.names ?? ORIGIN_CODES.none;
      columns.originClass[i] = origin ? this.#store.placeClass[origin.place] : NO_ORIGIN_CLASS;
      this.#origins.push(origin);
    }
    this.playbackIds = this.#playbackIdsAt.length;
  }

  /** The playback id that the reader stands at, as a small integer; ids are compared as they are written. */
  #indexOf(reader: ByteReader): number {
    const known = this.#playbackIdsAt;
    for (let i = known.length - 1; i >= 0; i--) {
      if (!sameText(known[i].bytes, known[i].at, reader.bytes, reader.at)) continue;
      reader.skipText();
      return i;
    }
    known.push({ bytes: reader.bytes, at: reader.at });
    reader.skipText();
    return known.length - 1;
  }

  #growPlaybacks(size: number): void {
    const columns = this.playbacks;
    columns.time = new Float64Array(size);
    columns.action = new Uint8Array(size);
    columns.playback = new Int32Array(size);
    columns.kind = new Uint8Array(size);
    columns.muted = new Uint8Array(size);
    columns.runtime = new Float64Array(size);
    columns.origin = new Uint8Array(size);
    columns.originClass = new Uint8Array(size);
  }

  /** By time, then the tie rule reversed: lowest row_rank, lowest position, smallest id last. */
  #compareImpressions(a: number, b: number): number {
    const byTime = this.#timeOf(a) - this.#timeOf(b);
    if (byTime !== 0) return byTime;
    const one = readImpression(this.#open(a));
    const other = readImpression(this.#open(b));
    return (
      other.rowRank - one.rowRank ||
      other.position - one.position ||
      compareCodeUnits(this.#eventId(b), this.#eventId(a))
    );
  }

  /** By time, then action, then event id. */
  #comparePlaybacks(a: number, b: number): number {
    const byTime = this.#timeOf(a) - this.#timeOf(b);
    if (byTime !== 0) return byTime;
    const one = readPlayback(this.#open(a));
    const other = readPlayback(this.#open(b));
    return one.action - other.action || compareCodeUnits(this.#eventId(a), this.#eventId(b));
  }

  #timeOf(number: number): number {
    return this.#store.chunkOf(number).timeOf(number % CHUNK_RECORDS);
  }

  #eventId(number: number): string {
    return (
      this.#store
        .chunkOf(number)
        .openText(this.#reader, number % CHUNK_RECORDS)
        .text() ?? ''
    );
  }

  /** The reader, at the beginning of a record's payload. */
  #open(number: number): ByteReader {
    this.#store.chunkOf(number).openPayload(this.#reader, number % CHUNK_RECORDS);
    return this.#reader;
  }
}

/** JavaScript's own order of strings: by UTF-16 code unit. */
function compareCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function sortUnlessSorted(numbers: number[], compare: (a: number, b: number) => number): void {
  for (let i = 1; i < numbers.length; i++) {
    if (compare(numbers[i - 1], numbers[i]) <= 0) continue;
    numbers.sort(compare);
    return;
  }
}
