import { expect, test } from 'vitest';
import { routeOf } from '../../send/route.ts';

const route = (line: string | Buffer) => routeOf(Buffer.from(line));

test.each([
  ['an impression', '{"type":"impression","profile_id":"p"}', { kind: 'impression', key: 'p' }],
  ['a playback', '{"profile_id":"p é","type":"playback"}', { kind: 'playback', key: 'p é' }],
  ['blanks around it', ' \t{"type":"playback","profile_id":"p"} \r', { kind: 'playback', key: 'p' }],
  ['escapes', String.raw`{"t\u0079pe":"play\u0062ack","profile_id":"\u0070"}`, { kind: 'playback', key: 'p' }],
  [
    'the same names further down',
    '{"context":{"type":"playback","profile_id":"q"},"type":"impression","profile_id":"p"}',
    { kind: 'impression', key: 'p' },
  ],
  [
    'a name that stands twice: the last counts',
    '{"type":"impression","profile_id":"p","type":"playback"}',
    { kind: 'playback', key: 'p' },
  ],
  ['an unknown type, by its profile', '{"type":"search","profile_id":"p"}', { kind: 'unroutable', key: 'p' }],
  ['no type, by its profile', '{"profile_id":"p"}', { kind: 'unroutable', key: 'p' }],
  ['no profile', '{"type":"impression"}', { kind: 'unroutable', key: null }],
  ['a profile that is a number', '{"type":"impression","profile_id":7}', { kind: 'unroutable', key: null }],
  ['an empty profile', '{"type":"impression","profile_id":""}', { kind: 'unroutable', key: null }],
  ['half a line', '{"type":"impression","profile_id":"p"', { kind: 'unroutable', key: null }],
  ['an array', '[{"type":"impression","profile_id":"p"}]', { kind: 'unroutable', key: null }],
  ['null', 'null', { kind: 'unroutable', key: null }],
  ['a text', '"impression"', { kind: 'unroutable', key: null }],
  ['no JSON', 'hello', { kind: 'unroutable', key: null }],
])('%s', (_, line, expected) => {
  expect(route(line)).toEqual(expected);
});

test('bytes that are no UTF-8 harm nothing', () => {
  expect(route(Buffer.from([0xff, 0xfe, 0x00]))).toEqual({ kind: 'unroutable', key: null });
});
