import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KIND_CODES, MUTED_CODES, ORIGIN_CODES } from '../../attribution/derive.ts';
import { ACTIONS, KINDS, type Event, type Impression, type Playback } from '../../attribution/events.ts';
import { ByteReader, ByteWriter } from '../../attribution/facts/bytes.ts';
import { EventFields } from '../../attribution/facts/event-fields.ts';
import { Interner } from '../../attribution/facts/interner.ts';
import {
  eachString,
  joinPlace,
  readImpression,
  readPlayback,
  splitPlace,
  writePayload,
  type Dictionaries,
} from '../../attribution/facts/record.ts';
import { runs } from './runs.ts';
import { impression, origin, playback, placeOf } from './samples.ts';

const text = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((drawn) => !drawn.includes('\0')),
  fc.uuid(),
);
const maybeText = fc.option(text);
const int32 = fc.oneof(fc.integer(), fc.integer({ min: -2, max: 2 }), fc.constantFrom(2 ** 31 - 1, 1 - 2 ** 31));

const anyImpression: fc.Arbitrary<Impression> = fc
  .record({ row_rank: int32, position: int32, page: text, row_type: text, row_id: text, token: maybeText })
  .map(impression);
const anyOrigin = fc
  .record({
    surface: text,
    row_type: maybeText,
    row_id: maybeText,
    row_rank: fc.option(int32),
    position: fc.option(int32),
    token: maybeText,
    impression_id: maybeText,
  })
  .map(origin);
const anyPlayback: fc.Arbitrary<Playback> = fc
  .record({
    playback_id: text,
    action: fc.constantFrom(...ACTIONS),
    kind: fc.option(fc.constantFrom(...KINDS)),
    muted_autoplay: fc.option(fc.boolean()),
    runtime_ms: fc.option(fc.double({ noNaN: true, noDefaultInfinity: true })),
    title_id: text,
    country: text,
    device_type: text,
    origin: fc.option(anyOrigin),
  })
  .map(playback);

function emptyDictionaries(): Dictionaries {
  return { places: new Interner(), labels: new Interner() };
}

/** A reader at the payload of an event, behind something else. */
function written(event: Event, dictionaries: Dictionaries): { reader: ByteReader; end: number } {
  const writer = new ByteWriter();
  writer.byte(0xff);
  writePayload(writer, new EventFields().set(event), dictionaries);
  return { reader: new ByteReader().open(writer.bytes, 1), end: writer.length };
}

describe('a place', () => {
  test('is a row on a surface, or a part of one, or the surface alone, and says which', () => {
    fc.assert(
      fc.property(text, maybeText, maybeText, (surface, rowType, rowId) => {
        const place = placeOf(surface, rowType, rowId);
        expect(splitPlace(place)).toEqual({ surface, rowType, rowId });
        expect(joinPlace({ surface, rowType, rowId })).toBe(place);
      }),
    );
  });

  test('is another where any of them is', () => {
    const parts = ['a', 'b', 'ab'];
    const places = parts.flatMap((surface) =>
      [null, ...parts].flatMap((type) => [null, ...parts].map((rowId) => placeOf(surface, type, rowId))),
    );
    expect(new Set(places).size).toBe(48);
  });
});

describe('what is held', () => {
  test('of an impression is read as it was written', () => {
    fc.assert(
      fc.property(anyImpression, (event) => {
        const dictionaries = emptyDictionaries();
        const { reader, end } = written(event, dictionaries);
        const { place, ...read } = readImpression(reader);
        const { row_rank: rowRank, position, token } = event;
        expect(read).toEqual({ rowRank, position, token });
        expect(dictionaries.places.text(place)).toBe(placeOf(event.page, event.row_type, event.row_id));
        expect(dictionaries.labels.size).toBe(0);
        expect(reader.at).toBe(end);
      }),
      { numRuns: runs(300) },
    );
  });

  test('of a playback event is read as it was written', () => {
    fc.assert(
      fc.property(anyPlayback, (event) => {
        const { places, labels } = emptyDictionaries();
        const { reader, end } = written(event, { places, labels });
        const { title, country, device, origin: launch, ...read } = readPlayback(reader);
        expect(read).toEqual({
          playbackId: event.playback_id,
          action: ACTIONS.indexOf(event.action),
          kind: KIND_CODES[event.kind ?? 'none'],
          muted: event.muted_autoplay === null ? MUTED_CODES.none : MUTED_CODES[event.muted_autoplay ? 'yes' : 'no'],
          runtime: event.runtime_ms ?? 0,
        });
        const words = [title, country, device].map((label) => labels.text(label));
        expect(words).toEqual([event.title_id, event.country, event.device_type]);
        expect(reader.at).toBe(end);
        if (event.origin === null || launch === null) {
          expect(launch).toBe(event.origin);
          expect(places.size).toBe(0);
          return;
        }
        const { surface, row_type, row_id, row_rank: rowRank, position, token, impression_id } = event.origin;
        const named = impression_id === null ? (token === null ? 'claim' : 'byToken') : 'byId';
        const { place, ...rest } = launch;
        const names = ORIGIN_CODES[named];
        expect(rest).toEqual({ names, rowRank, position, token, impressionId: impression_id });
        expect(places.text(place)).toBe(placeOf(surface, row_type, row_id));
      }),
      { numRuns: runs(500) },
    );
  });
});

test('what is released is what was acquired', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(anyImpression, anyPlayback), { minLength: 1, maxLength: 6 }), (events) => {
      const dictionaries = emptyDictionaries();
      const sizes = () => [dictionaries.places.size, dictionaries.labels.size];
      const steps = events.map((event) => {
        const before = sizes();
        return { before, reader: written(event, dictionaries).reader, isPlayback: event.type === 'playback' };
      });
      for (const { before, reader, isPlayback } of steps.reverse()) {
        eachString(reader, isPlayback, (dictionary, number) => dictionaries[dictionary].release(number));
        expect(sizes()).toEqual(before);
      }
      expect(sizes()).toEqual([0, 0]);
    }),
    { numRuns: runs(200) },
  );
});
