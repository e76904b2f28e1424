/**
 * From the sending of a play's first event to its row in Postgres: `npx tsx bench/freshness.ts [plays]`, one play at a time. Beside
 * it, as the limit, a record that is read by kafkajs and written as a bare row by itself.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { createProducer } from '../platform/kafka.ts';
import { playback } from '../test/core/samples.ts';
import { createSilentLayer } from '../test/streaming/layer.ts';
import { startTestStack } from '../local/testing.ts';
import { World } from '../test/streaming/world.ts';

const PLAYS = Number(process.argv[2] ?? 200);

const stack = await startTestStack({ services: ['postgres', 'kafka'], brief: false });
try {
  const world = await World.create(stack, 'fresh');
  const layer = await createSilentLayer(world);
  report('whence', await measure(world, 'p', 'select from whence.plays where profile_id = $1'));
  await layer.stop();

  await world.pool.query('create table bare (profile_id text)');
  const consumer = world.kafka.consumer({ groupId: 'bare', maxWaitTimeInMs: 50 });
  await consumer.connect();
  await consumer.subscribe({ topics: [world.playback], fromBeginning: false });
  await consumer.run({
    eachBatch: async ({ batch }) => {
      const keys = batch.messages.map(({ key }) => String(key));
      await world.pool.query('insert into bare select unnest($1::text[])', [keys]);
    },
  });
  await sleep(5_000);
  report('plain', await measure(world, 'q', 'select from bare where profile_id = $1'));
  await consumer.disconnect();
  await world.end();
} finally {
  await stack.stop();
}
// kafkajs can keep a process alive that left its group.
process.exit();

async function measure(world: World, prefix: string, seen: string): Promise<number[]> {
  const producer = createProducer(world.kafka);
  await producer.connect();
  const took: number[] = [];
  for (let i = 0; i < PLAYS; i++) {
    const profile_id = `${prefix}${i}`;
    const event = playback({ event_id: `e${i}`, playback_id: `b${i}`, profile_id, event_time: Date.now() });
    const began = performance.now();
    await producer.send({ topic: world.playback, messages: [{ key: profile_id, value: JSON.stringify(event) }] });
    while ((await world.pool.query(seen, [profile_id])).rowCount === 0) await sleep(2);
    took.push(performance.now() - began);
  }
  await producer.disconnect();
  return took.toSorted((a, b) => a - b);
}

function report(what: string, took: readonly number[]): void {
  const at = (share: number) => `${Math.round(took[Math.floor(took.length * share)])} ms`;
  console.log(`${what.padEnd(7)} p50 ${at(0.5)}, p99 ${at(0.99)}, of ${took.length} plays, one at a time`);
}
