import { BLOCK_RECORDS } from './block.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import { CHECKSUM_BYTES, type Chunk, LATE_FLAG, NO_CHECKSUM, PLAYBACK_FLAG, SHADOWED_FLAG } from './chunk.ts';
import { type HeldRecords, identityHash } from './held-records.ts';
import { NumberSet } from './number-set.ts';
import type { OlderRecords } from './older-records.ts';
import { type Dictionaries, eachString } from './record.ts';

/** A segment holds the records of a block, as many as there are. */
export const SEGMENT_RECORDS = BLOCK_RECORDS;
/** So many records are written or restored between two pauses. */
const SLICE = 4096;

/**
 * Writes so many records of a block, from its first on, as columns, whole in themselves: with the names of their keys, and the
 * strings that they use. Hashes, chains and counts follow from these and are not written.
 *
 *     count of records; by column, its length and content:
 *     times (difference to the one before), lengths of the records, keys (new ones with their names), strings (where a
 *     record uses one that none before it does), records
 *
 * It yields now and then, so that whoever drives it can do other things.
 */
export function* writeSegment(
  held: HeldRecords,
  chunk: Chunk,
  blockNumber: number,
  count: number,
): Generator<void, Uint8Array[]> {
  const times = new ByteWriter();
  const lengths = new ByteWriter();
  const keys = new ByteWriter();
  const strings = new ByteWriter();
  const named = new Named();
  const writeString = (dictionary: keyof Dictionaries, number: number) => {
    if (named[dictionary].add(number)) held.dictionaries[dictionary].write(number, strings);
  };
  const reader = new ByteReader();
  const block = chunk.blocks[blockNumber];
  // What came after is not of the cut.
  const end = count > 0 ? block.endOf(count - 1) : 0;
  let last = 0;
  for (let place = 0; place < count; place++) {
    if (place > 0 && place % SLICE === 0) yield;
    const time = block.timeOf(place);
    times.signed(time - last);
    last = time;
    lengths.varint(block.endOf(place) - block.textAt(place));
    const key = block.key[place];
    keys.varint(key);
    if (named.keys.add(key)) writeName(keys, held, key, named);
    eachString(reader, chunk.openPayload(reader, blockNumber * BLOCK_RECORDS + place), writeString);
  }
  const head = new ByteWriter();
  head.varint(count);
  const columns = [...[times, lengths, keys, strings].map(written), block.bytes.subarray(0, end)];
  columns.forEach((column) => head.varint(column.length));
  return [written(head), ...columns];
}

/** What a segment has the names of already. */
class Named {
  readonly keys = new NumberSet();
  readonly profiles = new NumberSet();
  readonly works = new NumberSet();
  readonly places = new NumberSet();
  readonly labels = new NumberSet();
}

function writeName(writer: ByteWriter, { keys, profiles, works }: HeldRecords, key: number, named: Named): void {
  const profile = keys.profileOf(key);
  writer.varint(profile);
  if (named.profiles.add(profile)) profiles.write(profile, writer);
  const work = keys.workOf(key);
  writer.varint(work);
  if (named.works.add(work)) works.write(work, writer);
}

function written(writer: ByteWriter): Uint8Array {
  return writer.bytes.subarray(0, writer.length);
}

/**
 * Restores what `writeSegment` wrote, as the next records of a chunk that is being restored. Yields as that does.
 *
 * @param older what reads the records and strings of an older version, whose segments have no column of strings
 * @param otherChecksums the checksums of payloads are of another kind: they are forgotten
 */
export function* restoreSegment(
  held: HeldRecords,
  chunk: Chunk,
  segment: Uint8Array,
  older: OlderRecords | null = null,
  otherChecksums = false,
): Generator<void, void> {
  const head = new ByteReader().open(segment, 0);
  const count = head.varint();
  const lengthsOf = Array.from({ length: older === null ? 4 : 3 }, () => head.varint());
  head.varint();
  let at = head.at;
  const [times, lengths, keys, strings] = lengthsOf.map((length) => {
    const reader = new ByteReader().open(segment, at);
    at += length;
    return reader;
  });
  const named = new Named();
  const useString = (dictionary: keyof Dictionaries, number: number) => {
    const its = held.dictionaries[dictionary];
    if (named[dictionary].add(number)) its.restore(number, strings);
    its.use(number);
  };
  const writer = new ByteWriter();
  const reader = new ByteReader();
  let time = 0;
  for (let i = 0; i < count; i++) {
    if (i > 0 && i % SLICE === 0) yield;
    time += times.signed();
    const key = keys.varint();
    if (named.keys.add(key)) restoreName(keys, held, key, named);
    const end = at + lengths.varint();
    const { bytes, used } = chunk.open;
    writer.open(bytes, used);
    if (older === null) writer.copy(segment, at, end);
    else older.convert(segment, at, end, writer);
    at = end;

    reader.open(writer.bytes, used).skipText();
    const profile = held.keys.profileOf(key);
    const flags = reader.bytes[reader.at];
    const isPlayback = (flags & PLAYBACK_FLAG) !== 0;
    const hash = identityHash(writer.bytes, used, reader.at, profile, flags & PLAYBACK_FLAG);
    reader.at++;
    reader.varint();
    const clock = time + reader.varint();
    if (otherChecksums) writer.patchUint32(reader.at, NO_CHECKSUM);
    reader.at += CHECKSUM_BYTES;
    if (isPlayback) reader.varint();
    if (older === null) eachString(reader, isPlayback, useString);
    held.profiles.use(profile);
    const counts = (flags & (LATE_FLAG | SHADOWED_FLAG)) === 0;
    held.append(chunk, writer.bytes, writer.length, time, clock, key, hash, isPlayback, counts);
  }
}

function restoreName(reader: ByteReader, held: HeldRecords, key: number, named: Named): void {
  const [profile, work] = (['profiles', 'works'] as const).map((name) => {
    const number = reader.varint();
    if (named[name].add(number)) held[name].restore(number, reader);
    return number;
  });
  // Every key counts once for its work.
  if (held.keys.restore(key, profile, work)) held.works.use(work);
}

/** All has been restored that was in use: other numbers of keys and strings are free. */
export function endRestoring({ keys, profiles, works, dictionaries }: HeldRecords): void {
  keys.restored();
  for (const strings of [profiles, works, dictionaries.places, dictionaries.labels]) strings.restored();
}
