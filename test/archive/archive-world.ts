/** What tests ask of the archive of a world, and the archiver in the test's own process. */

import { createHash } from 'node:crypto';
import { DuckDBInstance } from '@duckdb/node-api';
import type { KafkaMessage } from 'kafkajs';
import { expect } from 'vitest';
import { bucketOf } from '../../archive/bucket.ts';
import { prefixOf } from '../../archive/file.ts';
import { asObjects, findInstallation, readFiles, type ManifestFile } from '../../archive/manifest.ts';
import { rebuildManifest } from '../../archive/rebuild.ts';
import type { Event } from '../../attribution/events.ts';
import { parseRecord } from '../../attribution/validate.ts';
import { silentLogger } from '../../platform/log.ts';
import { openStorage } from '../../platform/open-storage.ts';
import { readSettings } from '../../platform/settings.ts';
import type { Storage } from '../../platform/storage.ts';
import { startArchiver, type Archiver, type ArchiverOptions } from '../../streaming/archiver.ts';
import type { World } from '../streaming/world.ts';

export type Row = Record<string, string | number | boolean | null>;

export function storageOf(world: World): Promise<Storage> {
  return openStorage(readSettings(world.env));
}

export async function createSilentArchiver(world: World, options: Partial<ArchiverOptions> = {}): Promise<Archiver> {
  return startArchiver({
    impressionTopics: [world.impressions],
    playbackTopics: [world.playback],
    dlqTopic: world.dlq,
    brokers: (world.env.KAFKA_BROKERS ?? '').split(','),
    kafka: world.kafka,
    pool: world.pool,
    storage: await storageOf(world),
    log: silentLogger(),
    ...options,
  });
}

/** Archives everything that is there. */
export async function archiveAll(world: World, options: Partial<ArchiverOptions> = {}): Promise<void> {
  const archiver = await createSilentArchiver(world, options);
  await archiver.caughtUp();
  await archiver.stop();
}

/** The files that the manifest names, in its order. */
export async function manifestOf(world: World): Promise<Omit<ManifestFile, 'file'>[]> {
  return (await readFiles(world.pool)).map((found) => {
    const { file: _, ...entry } = found;
    return entry;
  });
}

/** All rows of the files that the manifest names, by place. */
export async function archivedRows(world: World, filter?: Parameters<typeof readFiles>[1]): Promise<Row[]> {
  const storage = await storageOf(world);
  const objects = asObjects(await readFiles(world.pool, filter));
  if (objects.length === 0) return [];
  const lease = storage.lend();
  const files = (await lease.take(objects)).map((file) => `'${file}'`);
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  const reader = await connection.runAndReadAll(
    `select * replace (day::varchar as day) from read_parquet([${files.join(', ')}]) order by topic, partition, log, "offset"`,
  );
  const rows = reader.getRowObjectsJS();
  connection.closeSync();
  instance.closeSync();
  await lease.end();
  return rows.map((row) =>
    Object.fromEntries(Object.entries(row).map(([k, v]) => [k, typeof v === 'bigint' ? Number(v) : v])),
  ) as Row[];
}

const NOTHING = {
  page_view_id: null,
  page: null,
  row_type: null,
  row_id: null,
  row_rank: null,
  position: null,
  token: null,
  context: null,
  action: null,
  playback_id: null,
  kind: null,
  muted_autoplay: null,
  position_ms: null,
  runtime_ms: null,
};
const ORIGIN = ['surface', 'row_type', 'row_id', 'row_rank', 'position', 'token', 'impression_id'] as const;

/** The row that a record must be, worked out without the archive's code. */
export function expectedRow(topic: string, partition: number, message: KafkaMessage, event: Event): Row {
  const { type: _, ...fields } = event;
  const origin = 'origin' in fields ? fields.origin : null;
  const flat = Object.fromEntries(Object.entries(fields).filter(([name]) => name !== 'origin'));
  return {
    ...NOTHING,
    ...flat,
    ...('context' in fields && { context: fields.context === null ? null : JSON.stringify(fields.context) }),
    ...Object.fromEntries(ORIGIN.map((name) => [`origin_${name}`, origin?.[name] ?? null])),
    type: event.type,
    work_id: event.series_id ?? event.title_id,
    day: new Date(event.event_time).toISOString().slice(0, 10),
    bucket: bucketOf(event.profile_id),
    topic,
    partition,
    log: 0,
    offset: Number(message.offset),
    kafka_timestamp: Number(message.timestamp),
  };
}

/**
 * Fails where the archive is not the valid records of the log, each once, or a file of the manifest is not there whole, or
 * the manifest does not cover the log without gaps, or the files alone do not tell the same.
 */
export async function expectArchived(world: World): Promise<void> {
  const expected = (await world.readAll()).flatMap(({ topic, partition, message }) => {
    const read = parseRecord(message.value, Number(message.timestamp));
    return read.ok ? [expectedRow(topic, partition, message, read.event)] : [];
  });
  const place = (row: Row) => `${row.topic} ${row.partition} ${String(row.offset).padStart(9, '0')}`;
  const sorted = (rows: Row[]) => rows.toSorted((a, b) => (place(a) < place(b) ? -1 : 1));
  const rows = await archivedRows(world);
  expect(rows.map(place)).toEqual(sorted(expected).map(place));
  expect(sorted(rows)).toEqual(sorted(expected));
  await expectManifest(world);
}

export async function expectManifest(world: World): Promise<void> {
  const storage = await storageOf(world);
  const files = await manifestOf(world);
  const ends = new Map<string, number>();
  for (const file of files) {
    const name = `${file.topic}/${file.partition}/${file.log}`;
    expect(file.from).toBe(ends.get(name) ?? 0);
    ends.set(name, file.to);
    const bytes = await storage.get(file.path);
    expect(bytes.length).toBe(file.bytes);
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(file.sha256);
  }
  const horizons = new Map<string, number>();
  await world.withAdmin(async (admin) => {
    for (const topic of [world.impressions, world.playback]) {
      for (const { partition, high } of await admin.fetchTopicOffsets(topic)) {
        if (Number(high) > 0) horizons.set(`${topic}/${partition}/0`, Number(high));
      }
    }
  });
  expect(ends).toEqual(horizons);
  await expectRebuilt(world);
}

/** Fails where the manifest rebuilt from the files alone is another one. */
export async function expectRebuilt(world: World): Promise<void> {
  const rebuilt = await rebuildManifest(await storageOf(world), await findInstallation(world.pool));
  expect(rebuilt.files).toEqual(await manifestOf(world));
}

export async function keysOf(world: World): Promise<string[]> {
  return (await storageOf(world)).list(prefixOf(await findInstallation(world.pool)));
}
