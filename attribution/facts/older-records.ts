import { ORIGIN_CODES } from '../derive.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import { CHECKSUM_BYTES, PLAYBACK_FLAG } from './chunk.ts';
import type { HeldRecords } from './held-records.ts';
import { joinPlace, splitPlace } from './record.ts';

/** The strings of a dictionary, by their numbers. */
export type OlderStrings = readonly (readonly [number: number, uses: number, text: string])[];

/**
 * Makes records of those that checkpoints up to version 3 hold: row ids stood in them, and places were without. Their
 * strings stood in the checkpoint's head.
 */
export class OlderRecords {
  readonly #held: HeldRecords;
  readonly #places: ReadonlyMap<number, string>;
  readonly #reader = new ByteReader();

  constructor(held: HeldRecords, places: OlderStrings, labels: OlderStrings) {
    this.#held = held;
    this.#places = new Map(places.map(([number, , text]) => [number, text]));
    for (const [number, , text] of labels) {
      const writer = new ByteWriter();
      writer.text(text);
      held.dictionaries.labels.restore(number, new ByteReader().open(writer.bytes, 0));
    }
  }

  /** Writes the record that stands between two places, and counts the uses of its strings. */
  convert(bytes: Uint8Array, begin: number, end: number, writer: ByteWriter): void {
    const reader = this.#reader.open(bytes, begin);
    reader.skipText();
    const isPlayback = (reader.byte() & PLAYBACK_FLAG) !== 0;
    reader.varint();
    reader.varint();
    reader.at += CHECKSUM_BYTES;
    writer.copy(bytes, begin, reader.at);
    if (isPlayback) this.#convertPlayback(reader, writer);
    else this.#convertImpression(reader, writer);
    // The tokens, and the impression that an origin names, are as they were.
    writer.copy(bytes, reader.at, end);
  }

  #convertImpression(reader: ByteReader, writer: ByteWriter): void {
    const begin = reader.at;
    reader.varint();
    reader.varint();
    writer.copy(reader.bytes, begin, reader.at);
    this.#convertPlace(reader, writer);
  }

  #convertPlayback(reader: ByteReader, writer: ByteWriter): void {
    const { labels } = this.#held.dictionaries;
    const begin = reader.at;
    reader.varint();
    reader.skipText();
    reader.at += 9;
    for (let i = 0; i < 3; i++) labels.use(reader.varint());
    const hasOrigin = reader.byte() !== ORIGIN_CODES.none;
    writer.copy(reader.bytes, begin, reader.at);
    if (hasOrigin) this.#convertPlace(reader, writer);
  }

  /** The place, and the row id behind it. */
  #convertPlace(reader: ByteReader, writer: ByteWriter): void {
    const number = reader.varint();
    const place = this.#places.get(number);
    if (place === undefined) throw new RangeError(`No place has the number ${number}`);
    // Up to then, a place ended with its surface: what splits one now finds its last part missing.
    const { surface, rowType } = splitPlace(`${place}\0`);
    writer.varint(this.#held.dictionaries.places.acquire(joinPlace({ surface, rowType, rowId: reader.text() })));
  }
}
