/** Dead letters are sent again exactly once, whatever happens in between. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTopics } from '../../platform/kafka.ts';
import { readLog } from '../../platform/read-log.ts';
import { replayDeadLetters, ReplayRunningError, type ReplayStep } from '../../send/replay.ts';
import { letterHeader, letterOf, LETTER_HEADER } from '../../streaming/replayed-letter.ts';
import { fetchBounds } from '../../streaming/topics.ts';
import { impression } from '../core/samples.ts';
import { createSilentLayer } from './layer.ts';
import { startStack, World } from './world.ts';

let stack: Awaited<ReturnType<typeof startStack>>;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.stop());

const FILTER = { notReplayed: true };
const STEPS: ReplayStep[] = ['settled', 'begun', 'sent', 'before commit', 'committed', 'marked'];

test('killed −9 between any two steps, the next run sends what was not sent, and nothing twice', async () => {
  const world = await World.create(stack, 'replay-kill', 1);
  const values: string[] = [];
  for (const step of STEPS) {
    values.push(...(await addLetters(world, step, 5)));
    expect(await crashAt(world, step)).toBe(`dying at: ${step}`);
  }
  expect(await replayDeadLetters(world.pool, world.kafka, FILTER)).toEqual({ sent: {}, notSent: [] });
  expect(await valuesIn(world)).toEqual(values);
  expect(await openLetters(world)).toBe(0);
  await world.end();
});

test('two runs at once send each letter once', async () => {
  const world = await World.create(stack, 'replay-two', 1);
  const values = await addLetters(world, 'two', 300);
  let second: Promise<unknown> | undefined;
  const first = await replayDeadLetters(world.pool, world.kafka, FILTER, async (step) => {
    if (step !== 'sent' || second !== undefined) return;
    second = replayDeadLetters(world.pool, world.kafka, FILTER).catch((error: unknown) => error);
    await sleep(300);
  });
  expect(first.sent).toEqual({ [world.impressions]: 300 });
  const other = await second;
  // On a machine that is slow just now, the first may have taken too long for the second.
  if (!(other instanceof ReplayRunningError)) expect(other).toEqual({ sent: {}, notSent: [] });
  expect(await valuesIn(world)).toEqual(values);
  await world.end();
});

test('a run that has lost its lock to another can send nothing more', async () => {
  const world = await World.create(stack, 'replay-zombie', 1);
  const values = await addLetters(world, 'zombie', 10);
  const zombie = replayDeadLetters(world.pool, world.kafka, FILTER, async (step) => {
    if (step !== 'before commit') return;
    await world.pool.query(
      `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'
       and database = (select oid from pg_database where datname = current_database())`,
    );
    expect((await replayDeadLetters(world.pool, world.kafka, FILTER)).sent).toEqual({ [world.impressions]: 10 });
  });
  await expect(zombie).rejects.toThrow(/Run the same again/);
  expect(await valuesIn(world)).toEqual(values);
  expect(await openLetters(world)).toBe(0);
  await world.end();
});

test('a letter that is good now is applied once; one that is still wrong stays the one letter that it was', async () => {
  const world = await World.create(stack, 'replay-again', 1);
  const now = Date.now();
  await world.publish(
    ['no JSON', JSON.stringify(impression({ event_id: 'early', event_time: now - 1_000 }))],
    now - 3_600_000,
  );
  await readOnce(world);
  expect((await replayDeadLetters(world.pool, world.kafka, FILTER)).sent).toEqual({ [world.impressions]: 2 });
  await readOnce(world);
  expect((await replayDeadLetters(world.pool, world.kafka, FILTER)).sent).toEqual({ [world.impressions]: 1 });
  await readOnce(world);
  const { rows: letters } = await world.pool.query(
    `select reason, replays, replayed_at is null as open, replay is null as "never sent", "offset"
     from whence.dead_letters order by id`,
  );
  expect(letters).toMatchObject([
    { reason: 'not_json', replays: 2, open: true, 'never sent': true, offset: 0 },
    { replays: 0, open: false, 'never sent': false, offset: 1 },
  ]);
  const { rows: ledger } = await world.pool.query(
    'select sum(applied)::int as applied, sum(dead_lettered)::int as dead_lettered from whence.ledger',
  );
  expect(ledger).toEqual([{ applied: 1, dead_lettered: 4 }]);
  await world.end();
});

test('a header that names no letter of this database, or another value, makes a letter of its own', async () => {
  const world = await World.create(stack, 'replay-forged', 1);
  await addLetters(world, 'own', 1);
  await replayDeadLetters(world.pool, world.kafka, FILTER);
  const { rows } = await world.pool.query<{ token: string; id: number }>(
    'select r.token, l.id from whence.dead_letters l join whence.replays r using (replay)',
  );
  const headers = [
    letterHeader({ token: rows[0].token, letter: rows[0].id }),
    letterHeader({ token: '00000000-0000-4000-8000-000000000000', letter: rows[0].id }),
    'no such form',
  ];
  const producer = world.kafka.producer();
  await producer.connect();
  await producer.send({
    topic: world.impressions,
    messages: headers.map((header, i) => ({ value: `forged ${i}`, headers: { [LETTER_HEADER]: header } })),
  });
  await producer.disconnect();
  await readOnce(world);
  const { rows: letters } = await world.pool.query('select replays from whence.dead_letters order by id');
  expect(letters).toEqual([{ replays: 1 }, { replays: 0 }, { replays: 0 }, { replays: 0 }]);
  await world.end();
});

test('a letter that is longer than its topic takes is named and stays open; the others are sent', async () => {
  const world = await World.create(stack, 'replay-long', 1);
  const topic = 'short-replay-long';
  await world.withAdmin((admin) =>
    createTopics(admin, [{ topic, numPartitions: 1, configEntries: [{ name: 'max.message.bytes', value: '2000' }] }]),
  );
  await addLetters(world, 'short', 3, topic);
  // No compression makes random bytes shorter.
  await world.pool.query(
    `update whence.dead_letters set value = (select string_agg(sha256(n::text::bytea), null) from generate_series(1, 200) n)
     where value = 'short 1'`,
  );
  const { sent, notSent } = await replayDeadLetters(world.pool, world.kafka, FILTER);
  expect(sent).toEqual({ [topic]: 2 });
  expect(notSent).toMatchObject([{ bytes: 6400, source: { topic, partition: 0 } }]);
  expect(await valuesIn(world, topic)).toEqual(['short 0', 'short 2']);
  expect(await openLetters(world)).toBe(1);
  await world.end();
});

test('what a header says of a letter is read only where it has the form', () => {
  const letter = { token: '0f8fad5b-d9cb-469f-a165-70867728950e', letter: 17 };
  expect(letterOf({ headers: { [LETTER_HEADER]: Buffer.from(letterHeader(letter)) } })).toEqual(letter);
  for (const header of [
    '',
    '17',
    `${letter.token}/`,
    `${letter.token}/x`,
    `${letter.token}/${'9'.repeat(16)}`,
    'x/1',
  ]) {
    expect(letterOf({ headers: { [LETTER_HEADER]: header } }), header).toBeNull();
  }
  expect(letterOf({ headers: undefined })).toBeNull();
});

/** Dead letters as the stream would have written them. @returns their values */
async function addLetters(world: World, name: string, count: number, topic = world.impressions): Promise<string[]> {
  const values = Array.from({ length: count }, (_, i) => `${name} ${i}`);
  await world.pool.query(
    `insert into whence.dead_letters (topic, partition, "offset", day, reason, message, value, stamped_at)
     select $1, 0, place, '2001-01-01', 'not_json', 'x', convert_to(value, 'UTF8'), now()
     from unnest($2::text[]) with ordinality v(value, place) order by place`,
    [topic, values],
  );
  return values;
}

async function valuesIn(world: World, topic = world.impressions): Promise<string[]> {
  const values: string[] = [];
  const [{ earliest, next }] = (await world.withAdmin((admin) => fetchBounds(admin, [topic]))).get(topic) ?? [];
  const range = { topic, partition: 0, from: earliest, to: next };
  await readLog(world.kafka, 'whence-test', [range], (_, { value }) => void values.push(String(value)));
  return values;
}

async function openLetters(world: World): Promise<number> {
  const { rows } = await world.pool.query<{ n: number }>(
    `select count(*)::int as n from whence.dead_letters where replayed_at is null`,
  );
  const { rows: doubt } = await world.pool.query('select replay from whence.replays where sent_at is null');
  expect(doubt).toEqual([]);
  return rows[0].n;
}

async function readOnce(world: World): Promise<void> {
  const layer = await createSilentLayer(world);
  await layer.caughtUp();
  await layer.stop();
}

/** Runs a replay until it kills itself at a step; what it said before. */
async function crashAt(world: World, step: ReplayStep): Promise<string> {
  const script = fileURLToPath(new URL('crashing-replay.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', script, step], {
    env: world.env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  return signal === 'SIGKILL' ? said.trim() : `ended by itself before ${step}`;
}
