/** Servers that are away, slow or full while the stream and the archiver run: it is said, and nothing is lost or doubled. */

import { spawn } from 'node:child_process';
import fs from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { Health } from '../../platform/health.ts';
import { createKafka, type KafkaOptions } from '../../platform/kafka.ts';
import { createLogger } from '../../platform/log.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { Outage } from '../../platform/outage.ts';
import type { Storage } from '../../platform/storage.ts';
import { SpeedMetrics } from '../../streaming/speed-metrics.ts';
import { createSilentArchiver, expectArchived, storageOf } from '../archive/archive-world.ts';
import { createSilentLayer } from './layer.ts';
import { expectServed } from './served.ts';
import { ended, expectLedger, simulated, startStack, World } from './world.ts';

let stack: Awaited<ReturnType<typeof startStack>>;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.stop());

type Line = [level: number, words: string];

/** Short limits, so that an outage of seconds is beyond all of them. */
const STALLED_AFTER_MS = 2_000;
const SESSION_TIMEOUT_MS = 3_000;
const LOOK_MS = 300;
const CHECKPOINT_MS = 300;
const AWAY: Line = [40, 'a server is away or slow: waiting for it, nothing is lost'];
const BACK: Line = [30, 'the server is back, going on'];
/** What is said on fine days, too. */
const ROUTINE = /^(partitions assigned|checkpoint written|restored from a checkpoint|removed )/;

/** So soon a consumer gives a broker up, and crashes. */
const IMPATIENT = { retries: 1, initialRetryTime: 50, maxRetryTime: 100 };

/** What one of ours says, beyond routine, as level and words; and how often its consumer crashed. */
function listen(retry?: KafkaOptions['retry']) {
  const lines: Line[] = [];
  const crashes: string[] = [];
  const destination = {
    write(line: string) {
      const { level, msg } = JSON.parse(line) as { level: number; msg: string };
      if (msg.startsWith('Crash: ')) crashes.push(msg);
      if (level >= 30 && !ROUTINE.test(msg)) lines.push([level, msg]);
    },
  };
  const log = createLogger({ name: 'test', level: 'debug', secrets: [], destination });
  const outage = new Outage(log);
  const kafka = createKafka({ brokers: stack.kafka.brokers, clientId: 'whence-test', log, outage, retry });
  return { lines, crashes, log, outage, kafka };
}

/** The stream and the archiver of a world, and what they say of themselves; a third of its lines is published and applied. */
async function settled(
  name: string,
  seed: number,
  { storage, retry }: { storage?: (of: Storage) => Storage; retry?: KafkaOptions['retry'] } = {},
) {
  const world = await World.create(stack, name, 2);
  const { lines, ledger } = simulated(30, 1, seed);
  const pieces = [0, 1, 2].map((n) => lines.slice((lines.length * n) / 3, (lines.length * (n + 1)) / 3));
  const publishMore = () => world.publish(pieces.shift() ?? []);
  const own = await storageOf(world);
  const places = { storage: storage?.(own) ?? own };
  const [stream, archive] = [listen(retry), listen(retry)];
  const metrics = createMetrics({ ofProcess: false });
  const limits = { stalledAfterMs: STALLED_AFTER_MS, sessionTimeoutMs: SESSION_TIMEOUT_MS, lookMs: LOOK_MS };
  const layer = await createSilentLayer(world, {
    ...stream,
    ...limits,
    checkpoints: { ...places, everyMs: CHECKPOINT_MS },
    metrics: new SpeedMetrics(metrics.registry),
  });
  const archiver = await createSilentArchiver(world, {
    ...archive,
    ...limits,
    ...places,
    roll: { ms: 500 },
  });
  await publishMore();
  const first = lines.length - pieces.flat().length;
  await until(async () => (await consumed(world)) === first && (await archived(world)) === first);
  return {
    world,
    layer,
    archiver,
    crashes: { stream: stream.crashes, archive: archive.crashes },
    said: { stream: stream.lines, archive: archive.lines },
    publishMore,
    /** The value of a gauge, of all its tasks or partitions together. */
    gauge: async (of: string): Promise<number> => {
      const values = [...(await metrics.render()).matchAll(new RegExp(`^${of}\\{.*\\} (\\S+)$`, 'gm'))];
      return values.reduce((sum, [, value]) => sum + Number(value), 0);
    },
    expectWhole: async (): Promise<void> => {
      while (pieces.length > 0) await publishMore();
      await until(async () => (await consumed(world)) === lines.length && (await archived(world)) === lines.length);
      await until(() => layer.health().faults.length === 0 && archiver.health().faults.length === 0);
      await Promise.all([layer.stop(), archiver.stop()]);
      await expectServed(world.pool, await world.readLog());
      await expectLedger(world, lines, ledger);
      await expectArchived(world);
      await world.end();
    },
  };
}

async function consumed(world: World): Promise<number> {
  const { rows } = await world.pool.query<{ n: number }>('select sum(consumed)::int as n from whence.ledger');
  return rows[0].n;
}

async function archived(world: World): Promise<number> {
  const { rows } = await world.pool.query<{ n: number }>('select sum(next_offset)::int as n from whence.archive_tasks');
  return rows[0].n;
}

/** Waits until it is so; while a server is away it is not. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (;;) {
    if (await Promise.resolve(condition()).catch(() => false)) return;
    await sleep(50);
  }
}

/** Waits until nothing is said any more, and forgets what was. */
async function calm(said: Record<string, Line[]>): Promise<void> {
  for (const lines of Object.values(said)) {
    await until(() => lines.at(-1)?.[1] !== AWAY[1]);
    lines.length = 0;
  }
}

/** On a machine with much else to do a commit is slow now and then, which is an incident of its own: of several, the first. */
function first(lines: readonly Line[]): Line[] {
  const isPair = (at: number) => lines[at]?.[1] === AWAY[1] && lines[at + 1]?.[1] === BACK[1];
  return lines.filter((_, i) => i < 2 || !(isPair(i) || isPair(i - 1)));
}

/** Waits until health tells of a fault in these words. */
async function told(of: { health(): Health }, words: RegExp): Promise<void> {
  await until(() => of.health().faults.some(({ what, reason }) => words.test(`${what}: ${reason}`)));
}

test('Postgres is away beyond every time limit, and a process is killed meanwhile: its partitions are taken when it is back', async () => {
  const { world, layer, archiver, said, publishMore, gauge, expectWhole } = await settled('away', 71);
  const crashing = fileURLToPath(new URL('crashing.ts', import.meta.url));
  const other = spawn(process.execPath, ['--import', 'tsx', crashing], { env: world.env, stdio: 'ignore' });
  onTestFinished(() => void other.kill('SIGKILL'));
  await world.shared(2);
  await until(() => layer.health().ready);
  await calm(said);
  await stack.postgres.kill();
  await publishMore();
  other.kill('SIGKILL');
  await ended(other);
  await told(layer, /^task \d: was given to this process .* and could not be taken yet/);
  await told(layer, /^task \d: nothing could be committed for .* Postgres is away since/);
  await told(archiver, /^archive .*: nothing could be committed since .*: Postgres does not take it/);
  expect(layer.health()).toMatchObject({ healthy: false, ready: false });
  expect(await gauge('whence_lag_records')).toBeGreaterThan(0);
  expect(await gauge('whence_waiting')).toBeGreaterThan(0);
  expect(said).toEqual({ stream: [AWAY], archive: [AWAY] });
  await stack.restart('postgres');
  await expectWhole();
  expect([said.stream, said.archive].map(first)).toEqual([
    [AWAY, BACK],
    [AWAY, BACK],
  ]);
});

test('Postgres is slow: a commit that waits for a lock is told of, and goes through', async () => {
  const { world, layer, said, publishMore, gauge, expectWhole } = await settled('slow', 72);
  const client = await world.pool.connect();
  await client.query('begin');
  await calm(said);
  await client.query('lock table whence.ledger in access exclusive mode');
  await publishMore();
  await told(layer, /^task \d: Postgres is slow: a commit has taken .* so far; .* nothing is lost/);
  await until(() => said.stream.length > 0);
  expect(layer.health()).toMatchObject({ healthy: false });
  expect(await gauge('whence_lag_records')).toBeGreaterThan(0);
  expect(said.stream).toEqual([AWAY]);
  await client.query('rollback');
  client.release();
  await expectWhole();
  expect(first(said.stream)).toEqual([AWAY, BACK]);
});

test('the storage is full: answers go on without checkpoints, the archive waits for room', async () => {
  let full = false;
  // Whatever is written to that device, there is no space left on it.
  const refuse = () => fs.writeFile('/dev/full', 'much');
  const { world, layer, archiver, said, publishMore, gauge, expectWhole } = await settled('full', 73, {
    storage: (own) => ({
      ...own,
      put: (...put) => (full ? refuse() : own.put(...put)),
      putFile: (...put) => (full ? refuse() : own.putFile(...put)),
    }),
  });
  full = true;
  await publishMore();
  await told(layer, /^checkpoints of task \d: none can be written since .*ENOSPC.* nothing is lost/);
  await told(archiver, /^archive .*: nothing could be committed since .*: the storage does not take it \(ENOSPC/);
  await layer.caughtUp();
  expect(layer.health()).toMatchObject({ healthy: true, ready: true });
  expect(archiver.health()).toMatchObject({ healthy: false });
  expect(await gauge('whence_checkpoint_failing')).toBeGreaterThan(0);
  full = false;
  await until(async () => (await archived(world)) === (await consumed(world)));
  // Each task writes one when it is time again, and something is read.
  await sleep(CHECKPOINT_MS + 100);
  await publishMore();
  await until(async () => (await gauge('whence_checkpoint_failing')) === 0);
  await expectWhole();
  const ofStorage = (lines: Line[]) => lines.filter(([, words]) => words !== AWAY[1] && words !== BACK[1]);
  expect({ stream: ofStorage(said.stream), archive: ofStorage(said.archive) }).toEqual({
    stream: [
      [40, 'cannot write a checkpoint, going on: a restart would read more of the log again, nothing is lost'],
      [30, 'checkpoints are written again'],
    ],
    archive: [
      [40, 'the archive cannot be stored: waiting, nothing is lost'],
      [30, 'the archive is stored again, going on'],
    ],
  });
});

test('Kafka is restarted: both say so, and go on, however often their consumers crashed meanwhile', async () => {
  const { layer, archiver, said, crashes, gauge, publishMore, expectWhole } = await settled('restarted', 74, {
    retry: IMPATIENT,
  });
  await calm(said);
  await stack.kafka.kill();
  await told(layer, /^Kafka: has not said for .* where its logs end/);
  await told(archiver, /^Kafka: has not said for .* where its logs end/);
  expect(layer.health()).toMatchObject({ healthy: false });
  expect(await gauge('whence_waiting')).toBeGreaterThan(0);
  // More often than is taken for a fault of ours where nothing is committed between.
  await until(() => crashes.stream.length > 12 && crashes.archive.length > 12);
  expect(said).toEqual({ stream: [AWAY], archive: [AWAY] });
  await stack.restart('kafka');
  await publishMore();
  await expectWhole();
  expect([said.stream, said.archive].map(first)).toEqual([
    [AWAY, BACK],
    [AWAY, BACK],
  ]);
});
