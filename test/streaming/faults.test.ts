import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  RecordsLostError,
  TopicRecreatedError,
  UnequalPartitionsError,
  MissingTopicError,
} from '../../streaming/errors.ts';
import { createProducer } from '../../platform/kafka.ts';
import { messagesOf } from '../records.ts';
import { createSilentLayer } from './layer.ts';
import { startStack, World } from './world.ts';

let stack: Awaited<ReturnType<typeof startStack>>;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.stop());

const NOW = Date.now();
const impression = {
  type: 'impression',
  event_id: 'i1',
  event_time: NOW - 60_000,
  profile_id: 'p1',
  country: 'US',
  device_type: 'tv',
  page_view_id: 'pv1',
  page: 'home',
  row_type: 'trending',
  row_id: 'trending:1',
  row_rank: 1,
  position: 0,
  title_id: 't1',
};
const playback = {
  type: 'playback',
  action: 'start',
  event_id: 'e1',
  event_time: NOW - 30_000,
  profile_id: 'p1',
  country: 'US',
  device_type: 'tv',
  playback_id: 'b1',
  title_id: 't1',
};

describe('wrong input is dead-lettered with its reason, field and place, and the stream goes on', () => {
  const cases: [string, unknown, string, string | null][] = [
    ['not JSON', 'so { not JSON', 'not_json', null],
    ['an empty record', '', 'not_json', null],
    ['a list', [impression], 'not_an_object', null],
    ['a missing field', { ...impression, title_id: undefined }, 'missing_field', 'title_id'],
    ['a mistyped field', { ...impression, row_rank: 'first' }, 'wrong_type', 'row_rank'],
    ['an unknown type', { ...impression, type: 'rating' }, 'bad_value', 'type'],
    ['an unknown action', { ...playback, action: 'rewind' }, 'bad_value', 'action'],
    ['a time without an offset', { ...impression, event_time: '2025-11-24T16:00:00' }, 'bad_value', 'event_time'],
    [
      'an origin without a surface',
      { ...playback, origin: { row_type: 'trending' } },
      'missing_field',
      'origin.surface',
    ],
    ['an event of the future', { ...impression, event_time: NOW + 7_200_000 }, 'in_the_future', 'event_time'],
    ['a NUL in an id', { ...impression, title_id: 'a\0b' }, 'bad_value', 'title_id'],
  ];

  test('each kind once', async () => {
    const world = await World.create(stack, 'poison', 1);
    const lines = cases.map(([, value]) => (typeof value === 'string' ? value : JSON.stringify(value)));
    await world.publish([...lines, JSON.stringify(impression), JSON.stringify(playback)]);
    const layer = await createSilentLayer(world);
    await layer.caughtUp();
    await layer.stop();
    const { rows } = await world.pool.query(
      `select reason, field, message, topic, partition, "offset", convert_from(value, 'UTF8') as value
       from whence.dead_letters order by topic, "offset"`,
    );
    const sent = await world.readAll();
    for (const [name, value, reason, field] of cases) {
      const text = typeof value === 'string' ? value : JSON.stringify(value);
      const letter = rows.find((row) => row.value === text);
      expect(letter, name).toMatchObject({ reason, field });
      expect(letter.message, name).toMatch(
        field === null ? /expected|not JSON/ : new RegExp(`${field}.*(expected|after)`),
      );
      const place = sent.find((record) => record.message.value?.toString() === text);
      expect({ topic: letter.topic, partition: letter.partition, offset: letter.offset }).toEqual({
        topic: place?.topic,
        partition: place?.partition,
        offset: place?.offset,
      });
    }
    expect(rows).toHaveLength(cases.length);
    const { rows: plays } = await world.pool.query('select sop_impression_id from whence.plays');
    expect(plays).toEqual([{ sop_impression_id: 'i1' }]);
    await expectRelayed(world, cases.length);
    await world.end();
  });

  async function expectRelayed(world: World, count: number): Promise<void> {
    const letters: string[] = [];
    const consumer = world.kafka.consumer({ groupId: 'letters', maxWaitTimeInMs: 50 });
    await consumer.connect();
    await consumer.subscribe({ topics: [world.dlq], fromBeginning: true });
    await consumer.run({
      eachBatch: ({ batch }) => {
        for (const { headers } of messagesOf(batch.messages)) letters.push(String(headers?.['whence.reason']));
        return Promise.resolve();
      },
    });
    while (letters.length < count) await sleep(20);
    await consumer.disconnect();
    expect([...letters].sort()).toEqual(cases.map(([, , reason]) => reason).sort());
    const { rows } = await world.pool.query(
      'select count(*)::int as n from whence.dead_letters where relayed_at is null',
    );
    expect(rows[0].n).toBe(0);
  }
});

describe('a row appears early, is refined, and becomes final', () => {
  test('start, heartbeats, an impression that comes after the play, and the watermark', async () => {
    const world = await World.create(stack, 'refined', 1);
    const layer = await createSilentLayer(world);
    const at = (ms: number) => NOW - 20_000_000 + ms;
    await world.publish([JSON.stringify({ ...playback, event_time: at(0) })]);
    expect(await play(world, (row) => row.watched_ms === 0)).toMatchObject({
      state: 'provisional',
      rule: 'unknown',
      qualified: false,
      inferred_end: true,
    });
    await world.publish([JSON.stringify({ ...impression, event_time: at(-60_000) })]);
    expect(await play(world, (row) => row.rule === 'last_impression')).toMatchObject({ sop_impression_id: 'i1' });
    const later = [1, 2, 3].map((n) => ({
      ...playback,
      action: 'heartbeat',
      event_id: `h${n}`,
      event_time: at(n * 60_000),
    }));
    await world.publish(later.map((event) => JSON.stringify(event)));
    expect(await play(world, (row) => row.watched_ms === 180_000)).toMatchObject({
      qualified: true,
      is_discovery: true,
    });
    // The watermark is the smallest of both topics: both must pass last event + 40 min.
    const beyond = at(3 * 60_000 + 40 * 60_000);
    await world.publish([
      JSON.stringify({ ...playback, event_id: 'other', profile_id: 'p2', event_time: beyond + 1 }),
      JSON.stringify({ ...impression, event_id: 'other', profile_id: 'p2', event_time: beyond }),
    ]);
    await sleep(1_000);
    expect(await play(world, () => true)).toMatchObject({ state: 'provisional' });
    await world.publish([
      JSON.stringify({ ...impression, event_id: 'more', profile_id: 'p2', event_time: beyond + 1 }),
    ]);
    await play(world, (row) => row.state === 'final');
    await layer.stop();
    await world.end();
  });

  type Row = Record<string, unknown>;
  async function play(world: World, until: (row: Row) => boolean): Promise<Row> {
    for (;;) {
      const { rows } = await world.pool.query<Row>(`select * from whence.plays where profile_id = 'p1'`);
      if (rows.length === 1 && until(rows[0])) return rows[0];
      await sleep(20);
    }
  }
});

describe('where the log is not what it was, the stream stops and says what to do', () => {
  test('records that were to be read were deleted by retention', async () => {
    const world = await World.create(stack, 'retention', 1);
    await readOnce(world, 10);
    await world.publish(numbered(10, 30));
    await world.withAdmin(async (admin) => {
      // kafkajs deletes only in topics whose metadata it has.
      await admin.fetchTopicOffsets(world.impressions);
      await admin.deleteTopicRecords({ topic: world.impressions, partitions: [{ partition: 0, offset: '20' }] });
    });
    const before = await world.fingerprint();
    const layer = await createSilentLayer(world);
    const failure = await layer.done.catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(RecordsLostError);
    expect(String(failure)).toMatch(/impressions-retention\/0.*offset 10.*begins at 20.*--accept-data-loss/s);
    expect(await world.fingerprint()).toEqual(before);
    const accepting = await createSilentLayer(world, { acceptDataLoss: true });
    await accepting.caughtUp();
    await accepting.stop();
    const { rows } = await world.pool.query('select sum(consumed)::int as n from whence.ledger');
    expect(rows[0].n).toBe(20);
    await world.end();
  });

  test.each([
    ['with fewer records than were read', 5, /ends at offset 5.*10 was reached/s],
    ['with more records than were read', 25, /offset 9 is not the one/s],
  ])('a topic was re-created, %s', async (_, records, words) => {
    const world = await World.create(stack, `recreated-${records}`, 1);
    await readOnce(world, 10);
    await world.recreateTopic(world.impressions);
    await world.publish(numbered(100, 100 + records));
    const before = await world.fingerprint();
    const layer = await createSilentLayer(world);
    const failure = await layer.done.catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(TopicRecreatedError);
    expect(String(failure)).toMatch(words);
    expect(await world.fingerprint()).toEqual(before);
    const accepting = await createSilentLayer(world, { acceptDataLoss: true });
    await accepting.caughtUp();
    await waitFor(async () => (await consumed(world)) === 10 + records);
    await accepting.stop();
    const again = await createSilentLayer(world);
    await again.caughtUp();
    await again.stop();
    expect(await consumed(world)).toBe(10 + records);
    await world.end();
  });

  test('partitions that topics gain while it runs are read, one topic after the other', async () => {
    const world = await World.create(stack, 'growing', 1);
    const sendTo = async (topic: string, partition: number) => {
      const producer = createProducer(world.kafka);
      await producer.connect();
      await producer.send({ topic, messages: [{ key: 'p', value: 'poison', partition }] });
      await producer.disconnect();
    };
    await sendTo(world.impressions, 0);
    const layer = await createSilentLayer(world, { metadataMaxAgeMs: 500 });
    await waitFor(async () => (await consumed(world)) === 1);
    for (const [grown, topic] of [world.impressions, world.playback].entries()) {
      await world.withAdmin(async (admin) => {
        await admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] });
        await waitFor(
          async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length === 2,
        );
      });
      await sendTo(topic, 1);
      await waitFor(async () => (await consumed(world)) === grown + 2);
    }
    await layer.stop();
    const { rows } = await world.pool.query('select topic, partition from whence.ledger order by topic, partition');
    expect(rows).toEqual([
      { topic: world.impressions, partition: 0 },
      { topic: world.impressions, partition: 1 },
      { topic: world.playback, partition: 1 },
    ]);
    await world.end();
  });

  test('topics with unequal numbers of partitions, and a topic that is not there, are refused at the start', async () => {
    const world = await World.create(stack, 'unequal', 2);
    await world.withAdmin(async (admin) => {
      await admin.createPartitions({ topicPartitions: [{ topic: world.playback, count: 3 }] });
      // The broker answers before it knows of them itself.
      await waitFor(async () => {
        const { topics } = await admin.fetchTopicMetadata({ topics: [world.playback] });
        return topics[0].partitions.length === 3;
      });
    });
    const unequal = await createSilentLayer(world).catch((error: unknown) => error);
    expect(unequal).toBeInstanceOf(UnequalPartitionsError);
    expect(String(unequal)).toMatch(/impressions-unequal: 2\s+playback-unequal: 3/);
    const missing = await createSilentLayer(world, { playbackTopics: ['nowhere'] }).catch((error: unknown) => error);
    expect(missing).toBeInstanceOf(MissingTopicError);
    expect(String(missing)).toMatch(/no topic nowhere, which WHENCE_PLAYBACK_TOPICS asks for/);
    const printed = await world
      .whence('stream', '--until-caught-up')
      .catch((error: { stderr: string }) => error.stderr);
    expect(printed).toMatch(/must have the same number of partitions/);
    await world.end();
  });

  async function consumed(world: World): Promise<number> {
    const { rows } = await world.pool.query('select sum(consumed)::int as n from whence.ledger');
    return rows[0].n;
  }

  async function waitFor(condition: () => Promise<boolean>): Promise<void> {
    while (!(await condition())) await sleep(50);
  }

  function numbered(from: number, to: number): string[] {
    return Array.from({ length: to - from }, (_, i) =>
      JSON.stringify({ ...impression, event_id: `n${from + i}`, event_time: NOW - 50_000 + from + i }),
    );
  }

  async function readOnce(world: World, records: number): Promise<void> {
    await world.publish(numbered(0, records));
    const layer = await createSilentLayer(world);
    await layer.caughtUp();
    await layer.stop();
  }
});
