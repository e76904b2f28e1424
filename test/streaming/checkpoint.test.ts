import fs from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../../platform/log.ts';
import { Outage } from '../../platform/outage.ts';
import { openLocalStorage } from '../../platform/storage.ts';
import { sweepCheckpoints } from '../../streaming/checkpoint-sweep.ts';
import { RecordsLostError } from '../../streaming/errors.ts';
import type { SpeedLayerOptions } from '../../streaming/speed-layer.ts';
import { crashAt } from './crash-at.ts';
import { createSilentLayer } from './layer.ts';
import { expectServed } from './served.ts';
import { expectLedger, simulated, startStack, World } from './world.ts';

let stack: Awaited<ReturnType<typeof startStack>>;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.stop());

interface Row {
  checkpoint: number;
  head: string;
  objects: string[];
}

async function rowsOf(world: World): Promise<Row[]> {
  const { rows } = await world.pool.query<Row>(
    'select checkpoint, head, objects from whence.speed_checkpoints order by checkpoint desc',
  );
  return rows;
}

/** Reads all there is; what it logged of checkpoints, in order. */
async function readAll(world: World, checkpoints: number, options: Partial<SpeedLayerOptions> = {}): Promise<string[]> {
  const said: string[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void said.push(line) });
  const storage = await openLocalStorage(world.dataDir);
  const everyMs = checkpoints > 0 ? 0 : 3_600_000;
  const last = (await rowsOf(world))[0]?.checkpoint ?? 0;
  const layer = await createSilentLayer(world, { log, checkpoints: { storage, everyMs }, ...options });
  try {
    await layer.caughtUp();
    // A checkpoint is of a commit that read something.
    for (let more = 0; more < checkpoints; more++) {
      const before = (await rowsOf(world))[0]?.checkpoint ?? last;
      await world.publish([line(`more ${before}`)]);
      while (((await rowsOf(world))[0]?.checkpoint ?? 0) <= before) await sleep(50);
    }
  } finally {
    await layer.stop();
  }
  return said
    .map((each) => JSON.parse(each) as { msg: string; err?: { message: string } })
    .filter(({ msg }) => /checkpoint/.test(msg) && msg !== 'checkpoint written')
    .map(({ msg, err }) => (err ? `${msg}: ${err.message}` : msg));
}

const line = (id: string, more: object = {}) =>
  JSON.stringify({
    ...more,
    type: 'impression',
    event_id: id,
    event_time: Date.UTC(2025, 10, 2),
    profile_id: 'p1',
    country: 'US',
    device_type: 'tv',
    page_view_id: 'v',
    page: 'home',
    row_type: 'trending',
    row_id: 'r',
    row_rank: 1,
    position: 0,
    title_id: 't1',
  });

async function damage(world: World, key: string): Promise<void> {
  const file = path.join(world.dataDir, key);
  const bytes = await fs.readFile(file);
  bytes[bytes.length - 1] ^= 1;
  await fs.writeFile(file, bytes);
}

test('the two newest checkpoints and nothing else stand in the storage', async () => {
  const world = await World.create(stack, 'kept', 1);
  await world.publish(simulated(30, 1, 41).lines);
  await readAll(world, 4);
  const rows = await rowsOf(world);
  expect(rows).toHaveLength(2);
  const stored = await (await openLocalStorage(world.dataDir)).list('checkpoints/');
  expect(stored).toEqual([...new Set(rows.flatMap((row) => row.objects))].sort());
  await world.end();
});

test('what killed processes left goes with the first checkpoint of the next; nothing of a later owner, or that has no epoch, goes', async () => {
  const world = await World.create(stack, 'swept', 1);
  await world.publish(simulated(20, 1, 46).lines);
  for (const step of ['segment written', 'head written'] as const) {
    expect(await crashAt(world, step)).toBe(`dying at: ${step}`);
    await world.publish([line(step)]);
  }
  const storage = await openLocalStorage(world.dataDir);
  const left = await storage.list('checkpoints/');
  expect(left.length).toBeGreaterThanOrEqual(3);
  expect(await rowsOf(world)).toEqual([]);
  const [prefix] = left[0].split(/(?<=\/0\/)/);
  const others = [`${prefix}99/records-later`, `${prefix}unknown`];
  for (const key of others) await storage.put(key, Buffer.from('x'));
  await readAll(world, 1);
  const rows = await rowsOf(world);
  const named = [...rows.flatMap((row) => row.objects), ...others];
  expect(await storage.list('checkpoints/')).toEqual([...new Set(named)].sort());
  // A zombie that is at it when the task is another's by now finds nothing to remove.
  await world.pool.query('delete from whence.speed_checkpoints');
  const place = { pool: world.pool, outage: new Outage(silentLogger()), storage, prefix, task: 0, policy: '' };
  const [epoch] = await world.epochs();
  expect(await sweepCheckpoints({ ...place, epoch: epoch + 1 })).toBe(0);
  expect(await sweepCheckpoints({ ...place, epoch: epoch - 1 })).toBe(0);
  expect(await storage.list('checkpoints/')).toHaveLength(new Set(named).size);
  await world.end();
});

describe('a checkpoint that cannot be used', () => {
  test('falls back to the one before it, then to the log, and says so', async () => {
    const world = await World.create(stack, 'fallback', 1);
    const { lines } = simulated(60, 2, 42);
    const half = Math.floor(lines.length / 2);
    await world.publish(lines.slice(0, half));
    expect(await readAll(world, 2)).toEqual([]);
    await damage(world, (await rowsOf(world))[0].head);
    await world.publish([line('one more')]);
    const damaged = await readAll(world, 0);
    expect(damaged[0]).toMatch(/^cannot use a checkpoint, trying the one before it: .* is damaged: its checksum is /);
    expect(damaged[1]).toBe('restored from a checkpoint');
    expect(await rowsOf(world)).toHaveLength(1);
    const [row] = await rowsOf(world);
    const records = row.objects.find((key) => key !== row.head) ?? '';
    await fs.rm(path.join(world.dataDir, records));
    await world.publish(lines.slice(half));
    const missing = await readAll(world, 1);
    expect(missing[0]).toMatch(/^cannot use a checkpoint, reading the log again instead: There is no object /);
    // What only that one named is needed no more.
    expect(missing.slice(1)).toEqual(['removed objects that no checkpoint needs']);
    await expectServed(world.pool, await world.readLog());
    await world.end();
  });

  test('of a format version that is not known, it is left alone', async () => {
    const world = await World.create(stack, 'version', 1);
    const { lines } = simulated(20, 1, 43);
    await world.publish(lines);
    await readAll(world, 1);
    const [row] = await rowsOf(world);
    const file = path.join(world.dataDir, row.head);
    const bytes = await fs.readFile(file);
    bytes.writeUInt32LE(7, 4);
    await fs.writeFile(file, bytes);
    await world.publish([line('one more')]);
    const said = await readAll(world, 0);
    expect(said[0]).toMatch(
      /^cannot use a checkpoint, .*: .* is of format version 7; this program reads 1, 2, 3, 4, 5/,
    );
    expect((await rowsOf(world)).map(({ checkpoint }) => checkpoint)).toContain(row.checkpoint);
    await world.end();
  });
});

test('what retention deleted since is not missed where a checkpoint has it, and refused where none has', async () => {
  const world = await World.create(stack, 'trimmed', 1);
  const { lines, ledger } = simulated(60, 2, 44);
  const half = Math.floor(lines.length / 2);
  await world.publish(lines.slice(0, half));
  const storage = await openLocalStorage(world.dataDir);
  const layer = await createSilentLayer(world, { checkpoints: { storage, everyMs: 0 } });
  await layer.caughtUp();
  while ((await rowsOf(world)).length === 0) await sleep(50);
  await layer.stop();
  await readAllQuietly(world);
  const whole = await world.readLog();
  const { rows } = await world.pool.query<{ offsets: Record<string, number> }>(
    'select offsets from whence.speed_checkpoints order by checkpoint desc limit 1',
  );
  await world.withAdmin(async (admin) => {
    // It must know the leaders first.
    for (const topic of Object.keys(rows[0].offsets)) await admin.fetchTopicOffsets(topic);
    for (const [topic, offset] of Object.entries(rows[0].offsets)) {
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(offset) }] });
    }
  });
  await expect(createSilentLayer(world).then((without) => without.done)).rejects.toThrow(RecordsLostError);
  await world.publish(lines.slice(half));
  expect(await readAll(world, 0)).toEqual(['restored from a checkpoint']);
  const rest = await world.readLog();
  const known = new Set(whole.map(({ topic, offset }) => `${topic} ${offset}`));
  await expectServed(world.pool, [...whole, ...rest.filter(({ topic, offset }) => !known.has(`${topic} ${offset}`))]);
  await expectLedger(world, lines, ledger);
  await world.end();

  async function readAllQuietly(of: World): Promise<void> {
    const again = await createSilentLayer(of);
    await again.caughtUp();
    await again.stop();
  }
});

test('a topic that was re-created is noticed behind a checkpoint that has read it to its end', async () => {
  const world = await World.create(stack, 'anew', 1);
  await world.publish(Array.from({ length: 10 }, (_, i) => line(`old ${i}`)));
  await readAll(world, 1);
  await world.recreateTopic(world.impressions);
  await world.publish(Array.from({ length: 25 }, (_, i) => line(`new ${i}`)));
  await expect(readAll(world, 0)).rejects.toThrow(/is not the one that was committed last/);
  await readAll(world, 0, { acceptDataLoss: true });
  expect(await rowsOf(world)).toEqual([]);
  await world.end();
});
