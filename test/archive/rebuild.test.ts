import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ArchiveIncompleteError, NotAnArchiveFileError } from '../../archive/errors.ts';
import { type ArchiveFile, FORMAT, prefixOf } from '../../archive/file.ts';
import { publishFile } from '../../archive/publish.ts';
import { listInstallations, rebuildManifest } from '../../archive/rebuild.ts';
import { ArchiveWriter } from '../../archive/writer.ts';
import { openLocalStorage, type Storage } from '../../platform/storage.ts';
import { impression } from '../core/samples.ts';

let directory: string;
let writer: ArchiveWriter;
let storage: Storage;
let installations = 0;
beforeAll(async () => {
  directory = await fs.mkdtemp(path.join(os.tmpdir(), 'whence-rebuild-'));
  writer = await ArchiveWriter.open(directory);
  storage = await openLocalStorage(path.join(directory, 'data'));
});
afterAll(async () => {
  writer.close();
  await fs.rm(directory, { recursive: true });
});

/** An archive of its own, and what publishes a file of [from, to) in it, without any commit. */
function createArchive() {
  const installation = `installation-${++installations}`;
  let createdAt = 1_000;
  const publish = async (from: number, to: number, more: Partial<ArchiveFile> = {}): Promise<ArchiveFile> => {
    const buffer = await writer.begin();
    for (let offset = from; offset < to; offset++) buffer.append({ offset, stampedAt: 5, event: impression() });
    const log = more.log ?? 0;
    const range = { format: FORMAT, topic: 'views', partition: 0, log, from, to, previous: null } as const;
    const places = { storage, prefix: prefixOf(installation), scratch: directory };
    const after = more.after ?? { log, offset: from };
    const file = await publishFile(places, buffer, { ...range, after, createdAt: createdAt++, ...more });
    await buffer.drop();
    return file;
  };
  return { installation, publish, rebuild: () => rebuildManifest(storage, installation) };
}

test('files that crashes and zombies left are told from those that were committed', async () => {
  const { publish, rebuild } = createArchive();
  const orphans = [await publish(0, 2), await publish(0, 5), await publish(0, 6)];
  const first = await publish(0, 4);
  // A zombie that rolled at the same record, later.
  orphans.push(await publish(0, 4));
  const second = await publish(4, 6, { previous: first.path });
  orphans.push(await publish(4, 9), await publish(4, 5));
  const third = await publish(6, 7, { previous: second.path });
  const { files, orphans: found } = await rebuild();
  expect(files).toEqual([first, second, third]);
  expect(found).toEqual(orphans.map((file) => file.path).sort());
});

test('of the last file it cannot be said whether it was committed: the longest is taken', async () => {
  const { publish, rebuild } = createArchive();
  const first = await publish(0, 4);
  const [short, long] = [await publish(4, 6), await publish(4, 9)];
  expect(await rebuild()).toEqual({ files: [first, long], orphans: [short.path] });
});

test('a gap by loss that was accepted, and a re-created log, are no missing files', async () => {
  const { publish, rebuild } = createArchive();
  const first = await publish(0, 4);
  const second = await publish(10, 12, { after: { log: 0, offset: 4 } });
  const third = await publish(0, 3, { log: 1, after: { log: 0, offset: 12 } });
  const fourth = await publish(3, 4, { log: 1 });
  expect(await rebuild()).toEqual({ files: [first, second, third, fourth], orphans: [] });
});

test('a file that is missing is noticed', async () => {
  const { publish, rebuild } = createArchive();
  const files = [await publish(0, 4), await publish(4, 6), await publish(6, 8)];
  await storage.delete(files[1].path);
  await expect(rebuild()).rejects.toThrow(ArchiveIncompleteError);
  await storage.delete(files[0].path);
  await expect(rebuild()).rejects.toThrow(/views\/0: no file of the archive continues after offset 0/);
});

test('a merged file is taken instead of those that it was merged from, where the others follow it', async () => {
  const { publish, rebuild } = createArchive();
  const [a, b, c, d] = [await publish(0, 4), await publish(4, 6), await publish(6, 9), await publish(9, 10)];
  // Published and never committed; then one of other files that share one with it, which was.
  const orphan = await publish(0, 6, { replaces: [a.path, b.path] });
  const merged = await publish(4, 9, { replaces: [b.path, c.path] });
  const rows = async () => (await rebuild()).files.map(({ from, to }) => [from, to]);
  // All are there: either way holds each record once.
  expect(await rows()).toEqual([
    [0, 6],
    [6, 9],
    [9, 10],
  ]);
  await storage.delete(c.path);
  await storage.delete(b.path);
  expect(await rebuild()).toEqual({ files: [a, merged, d], orphans: [orphan.path] });
  await storage.delete(merged.path);
  await expect(rebuild()).rejects.toThrow(/views\/0: no file of the archive continues after offset 6/);
});

test('a file of something else is named', async () => {
  const { installation, publish, rebuild } = createArchive();
  await publish(0, 4);
  await storage.put(`${prefixOf(installation)}notes.txt`, Buffer.from('not Parquet'));
  await expect(rebuild()).rejects.toThrow(NotAnArchiveFileError);
  await expect(rebuild()).rejects.toThrow(/notes\.txt is no file of the archive/);
});

test('installations that share a storage do not see each other', async () => {
  const [one, other] = [createArchive(), createArchive()];
  const files = [await one.publish(0, 4), await other.publish(0, 3)];
  expect((await one.rebuild()).files).toEqual([files[0]]);
  expect((await other.rebuild()).files).toEqual([files[1]]);
  expect(await listInstallations(storage)).toEqual(expect.arrayContaining([one.installation, other.installation]));
});
