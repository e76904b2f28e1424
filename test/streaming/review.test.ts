/** What an adversarial reader of the code found, each once on the real servers. */

import { EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { OnStep } from '../../streaming/commit.ts';
import { createTopics } from '../../platform/kafka.ts';
import { DeadLetterTopicError } from '../../streaming/errors.ts';
import { impression, playback } from '../core/samples.ts';
import { createSilentLayer } from './layer.ts';
import { startStack, World } from './world.ts';

let stack: Awaited<ReturnType<typeof startStack>>;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.stop());

const NOW = Date.now();
const numbered = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) =>
    JSON.stringify(impression({ event_id: `n${from + i}`, event_time: NOW - 3_000_000 + from + i })),
  );

async function total(world: World, column: string): Promise<number> {
  const { rows } = await world.pool.query<{ n: number }>(
    `select coalesce(sum(${column}), 0)::int as n from whence.ledger`,
  );
  return rows[0].n;
}

async function readOnce(world: World, options: Parameters<typeof createSilentLayer>[1] = {}): Promise<void> {
  const layer = await createSilentLayer(world, options);
  await layer.caughtUp();
  await layer.stop();
}

test('stopped in the middle of catching up, with a commit under way and the next one due, it loses nothing', async () => {
  const world = await World.create(stack, 'stopped', 1);
  await world.publish(numbered(0, 200_000));
  // The first commit takes so long that the next is due when it ends; that one is overtaken if it can be.
  const delays = [2_500, 400];
  const firstBegan = new EventEmitter();
  const layer = await createSilentLayer(world, {
    onStep: async (step: Parameters<OnStep>[0]) => {
      if (step !== 'begun') return;
      firstBegan.emit('begun');
      await sleep(delays.shift() ?? 0);
    },
  });
  await once(firstBegan, 'begun');
  await sleep(2_000);
  await layer.stop();
  const { rows } = await world.pool.query('select offsets from whence.speed_tasks');
  expect(await total(world, 'consumed')).toBe(rows[0].offsets[world.impressions].next);
  await readOnce(world);
  expect(await total(world, 'consumed')).toBe(200_000);
  expect(await total(world, 'duplicate')).toBe(0);
  await world.end();
});

test('a topic that is left out for a while is read on where it was', async () => {
  const world = await World.create(stack, 'left-out', 1);
  await world.publish([...numbered(0, 10), 'no JSON']);
  await readOnce(world);
  await world.publish([JSON.stringify(playback({ event_time: NOW - 1_000 }))]);
  await readOnce(world, { impressionTopics: [world.playback] });
  await world.publish(numbered(10, 15));
  await readOnce(world);
  expect(await total(world, 'consumed')).toBe(17);
  expect(await total(world, 'dead_lettered')).toBe(1);
  await world.end();
});

describe('transactional producers', () => {
  test('an aborted transaction at the end of the log, and one in the way of a restart, hold nothing up', async () => {
    const world = await World.create(stack, 'aborted', 1);
    await world.publish(numbered(0, 10));
    await abort(world, 3, 10);
    await readOnce(world);
    expect(await total(world, 'consumed')).toBe(10);
    await world.publish(numbered(10, 20));
    await abort(world, 12, 900_000);
    await readOnce(world);
    await world.publish(numbered(20, 30));
    await readOnce(world);
    expect(await total(world, 'consumed')).toBe(30);
    expect(await total(world, 'applied')).toBe(30);
    await world.end();
  });

  async function abort(world: World, records: number, bytes: number): Promise<void> {
    const producer = world.kafka.producer({ idempotent: true, maxInFlightRequests: 1, transactionalId: `t${bytes}` });
    await producer.connect();
    const transaction = await producer.transaction();
    for (let i = 0; i < records; i++) {
      await transaction.send({ topic: world.impressions, messages: [{ key: 'p', value: 'x'.repeat(bytes) }] });
    }
    await transaction.abort();
    await producer.disconnect();
  }
});

test('what is on time by its own log, but older than what is held, deletes no play', async () => {
  const world = await World.create(stack, 'older', 1);
  const day = 86_400_000;
  const at = (n: number) => NOW - 10 * day + n * day;
  const watched = (id: string, time: number) =>
    [0, 1, 2, 3].map((minute) =>
      JSON.stringify(
        playback({
          action: minute === 0 ? 'start' : 'heartbeat',
          event_id: `${id}${minute}`,
          event_time: time + minute * 60_000,
        }),
      ),
    );
  const clock = [1, 1.5, 2, 3, 4, 4.9].flatMap((n) => [
    JSON.stringify(impression({ event_id: `c${n}`, event_time: at(n), profile_id: 'other' })),
    JSON.stringify(playback({ event_id: `c${n}`, event_time: at(n), profile_id: 'other' })),
  ]);
  await world.publish([
    JSON.stringify(impression({ event_id: 'seen', event_time: at(0) - 1 })),
    ...watched('a', at(0)),
  ]);
  await readOnce(world);
  for (const line of clock) {
    await world.publish([line]);
    await readOnce(world);
  }
  await world.publish(watched('b', at(5)));
  await readOnce(world);
  const { rows: replay } = await world.pool.query('select replay from whence.speed_tasks');
  expect(replay[0].replay[world.playback].frozenBefore).toBeGreaterThan(at(0));
  const plays = `select started_at, is_discovery, discovered_at from whence.plays where profile_id = 'p1' order by 1`;
  const { rows: before } = await world.pool.query(plays);
  expect(before.map((row) => row.is_discovery)).toEqual([true, false]);
  const another = `${world.impressions}-new`;
  await world.withAdmin((admin) => createTopics(admin, [{ topic: another, numPartitions: 1 }]));
  const producer = world.kafka.producer();
  await producer.connect();
  const late = JSON.stringify(impression({ event_id: 'old', event_time: at(0) - 60_000 }));
  await producer.send({ topic: another, messages: [{ key: 'p1', value: late }] });
  await producer.disconnect();
  await readOnce(world, { impressionTopics: [world.impressions, another] });
  expect((await world.pool.query(plays)).rows).toEqual(before);
  await world.end();
});

describe('dead letters', () => {
  test('large ones are kept and relayed, one too large for the topic without its value', async () => {
    const world = await World.create(stack, 'large', 1);
    await world.publish(Array.from({ length: 300 }, (_, i) => `no JSON ${i} ${'x'.repeat(9_000)}`));
    await world.publish([`no JSON ${'y'.repeat(900_000)}`]);
    const layer = await createSilentLayer(world);
    await layer.caughtUp();
    for (;;) {
      const { rows } = await world.pool.query(
        'select count(*)::int as n from whence.dead_letters where relayed_at is null',
      );
      if (rows[0].n === 0) break;
      await sleep(50);
    }
    await layer.stop();
    const { rows } = await world.pool.query(
      'select count(*)::int as n, sum(octet_length(value))::int as bytes from whence.dead_letters',
    );
    expect(rows[0].n).toBe(301);
    expect(rows[0].bytes).toBeGreaterThan(300 * 9_000 + 900_000);
    const ends = await world.withAdmin((admin) => admin.fetchTopicOffsets(world.dlq));
    expect(Number(ends[0].high)).toBe(301);
    await world.end();
  });

  test('their topic is not read, whatever the patterns match', async () => {
    const world = await World.create(stack, 'loop', 1);
    await world.publish(['no JSON']);
    const layer = await createSilentLayer(world, { impressionTopics: [/-loop$/] });
    expect(layer.topics.names).not.toContain(world.dlq);
    await layer.stop();
    const named = await createSilentLayer(world, { impressionTopics: [world.dlq] }).catch((error: unknown) => error);
    expect(named).toBeInstanceOf(DeadLetterTopicError);
    await world.end();
  });
});
