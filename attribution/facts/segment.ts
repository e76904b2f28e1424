import { ByteReader, ByteWriter } from './bytes.ts';
import { CHUNK_RECORDS, type Chunk } from './chunk.ts';
import type { FactsCut, FactStore } from './fact-store.ts';

/** A segment holds at most this many records: from a multiple of it on, of one chunk. */
export const SEGMENT_RECORDS = CHUNK_RECORDS / 8;
/** So many records are written or restored between two pauses. */
const SLICE = 4096;

/**
 * Writes the records of a chunk from `from` to before `to` as columns, whole in themselves: with the names of their keys.
 * Hashes, chains and counts follow from these and are not written.
 *
 *     counts of records and of bytes; by column, its length and content:
 *     times (difference to the one before), lengths of the records, keys (new ones with their names), records
 *
 * It yields now and then, so that whoever drives it can do other things.
 */
export function* writeSegment(
  store: FactsCut['store'],
  chunk: Chunk,
  from: number,
  to: number,
): Generator<void, Uint8Array[]> {
  const times = new ByteWriter();
  const lengths = new ByteWriter();
  const keys = new ByteWriter();
  const named = { keys: new Set<number>(), profiles: new Set<number>(), works: new Set<number>() };
  const begin = chunk.textAt[from];
  // What came after is not of the cut; the last record's end is where the next begins, wherever there is one.
  const end = to < chunk.count ? chunk.textAt[to] : chunk.used;
  let last = 0;
  for (let place = from; place < to; place++) {
    if (place > from && (place - from) % SLICE === 0) yield;
    times.signed(chunk.time[place] - last);
    last = chunk.time[place];
    lengths.varint((place + 1 < chunk.count ? chunk.textAt[place + 1] : chunk.used) - chunk.textAt[place]);
    const key = chunk.key[place];
    keys.varint(key);
    if (!named.keys.has(key)) writeName(keys, store, key, named);
  }
  const head = new ByteWriter();
  head.varint(to - from);
  const columns = [...[times, lengths, keys].map(written), chunk.bytes.subarray(begin, end)];
  columns.forEach((column) => head.varint(column.length));
  return [written(head), ...columns];
}

interface Named {
  keys: Set<number>;
  profiles: Set<number>;
  works: Set<number>;
}

function writeName(writer: ByteWriter, { keys, profiles, works }: FactsCut['store'], key: number, named: Named): void {
  named.keys.add(key);
  for (const [number, strings, seen] of [
    [keys.profile[key], profiles, named.profiles],
    [keys.work[key], works, named.works],
  ] as const) {
    writer.varint(number);
    if (seen.has(number)) continue;
    seen.add(number);
    writer.text(strings.text(number));
  }
}

function written(writer: ByteWriter): Uint8Array {
  return writer.bytes.subarray(0, writer.length);
}

/**
 * Restores what `writeSegment` wrote, as the next records of a chunk that is being restored. Yields as that does.
 *
 * @param otherChecksums the checksums of payloads in it are of another kind: they are forgotten
 */
export function* restoreSegment(
  store: FactStore,
  chunk: Chunk,
  segment: Uint8Array,
  otherChecksums = false,
): Generator<void, void> {
  const head = new ByteReader().open(segment, 0);
  const count = head.varint();
  const lengthsOf = [head.varint(), head.varint(), head.varint()];
  head.varint();
  let at = head.at;
  const [times, lengths, keys] = lengthsOf.map((length) => {
    const reader = new ByteReader().open(segment, at);
    at += length;
    return reader;
  });
  const named: Named = { keys: new Set(), profiles: new Set(), works: new Set() };
  let time = 0;
  for (let i = 0; i < count; i++) {
    if (i > 0 && i % SLICE === 0) yield;
    time += times.signed();
    const key = keys.varint();
    if (!named.keys.has(key)) restoreName(keys, store, key, named);
    const length = lengths.varint();
    store.restoreRecord(chunk, segment.subarray(at, at + length), time, key, otherChecksums);
    at += length;
  }
}

function restoreName(reader: ByteReader, store: FactStore, key: number, named: Named): void {
  named.keys.add(key);
  const [profile, work] = (['profiles', 'works'] as const).map((name) => {
    const number = reader.varint();
    if (!named[name].has(number)) {
      named[name].add(number);
      store[name].restore(number, reader.text() ?? '', 0);
    }
    return number;
  });
  store.restoreKey(key, profile, work);
}
