import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildHere } from '../../../batch/datasets/build-here.ts';
import { COLUMNS, type Example } from '../../../batch/datasets/schema.ts';
import { createShardFile } from '../../../batch/datasets/shard-file.ts';
import { type Ground, LittleWorld, openGround } from '../little-world.ts';
import { evenings, FIRST_DAY, LAST_DAY } from './evening.ts';
import { pythonWithArrow } from './python.ts';
import { by, readRows } from './read-dataset.ts';

let ground: Ground;
let python: string;
beforeAll(async () => {
  [ground, python] = await Promise.all([openGround(), pythonWithArrow()]);
}, 600_000);
afterAll(() => ground.stop());

/** All rows as JSON lines, times as epoch milliseconds; validated in full first. */
const READ = `
import json, sys
import pyarrow as pa
import pyarrow.dataset as ds

table = ds.dataset(sys.argv[1], format=sys.argv[2]).to_table()
table.validate(full=True)
time = table.schema.get_field_index("event_time")
assert table.schema.field(time).type.tz == "UTC"
table = table.set_column(time, "event_time", table["event_time"].cast(pa.timestamp("ms", "UTC")).cast(pa.int64()))
for row in table.to_pylist():
    print(json.dumps(row))
`;

async function readByPython(folder: string, format: 'ipc' | 'parquet'): Promise<Record<string, unknown>[]> {
  const { stdout } = await execa(python, ['-c', READ, folder, format], { maxBuffer: 1 << 28 });
  return stdout === '' ? [] : stdout.split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
}

test('pyarrow opens the folder of a dataset, and reads the same rows and labels from Arrow and Parquet', async () => {
  const little = await LittleWorld.create(ground, evenings(40));
  await little.stream(0, Infinity);
  await little.archive('events', 0, Infinity);
  await little.reconcile(...little.days);
  const request = { from: FIRST_DAY, to: LAST_DAY, ...by };
  const small = { recordsAShard: 200 };
  const arrow = await buildHere(little.deps, { ...request, name: 'python' }, small);
  const parquet = await buildHere(little.deps, { ...request, name: 'python', format: 'parquet' }, small);
  const rows = await readRows(arrow.path);
  expect(rows.length).toBe(arrow.counts.examples);
  const found = await readByPython(arrow.path, 'ipc');
  expect(found).toEqual(rows);
  expect(found.filter(({ label }) => label === 1).length).toBe(40);
  expect(await readByPython(parquet.path, 'parquet')).toEqual(rows);
}, 240_000);

test.each([0, 1, 20_000])(
  'pyarrow and we read %i rows of any content as they were written',
  async (count) => {
    const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'whence-shard-'));
    try {
      const examples = Array.from({ length: count }, (_, i) => example(i));
      const categories = new Map(
        COLUMNS.filter(({ type }) => type === 'category').map(({ name }) => [
          name,
          [...new Set(examples.map((each) => each[name]).filter((text) => text !== null))].map(String).sort(),
        ]),
      );
      for (const format of ['arrow', 'parquet'] as const) {
        const target = path.join(folder, format);
        await fs.mkdir(target);
        const options = { file: path.join(target, `part-00000.${format}`), categories, scratch: folder };
        const shard = await createShardFile(format, options);
        for (const [i, each] of examples.entries()) {
          shard.add(each);
          if (i % 2048 === 0) await shard.drain();
        }
        await shard.finish();
        await shard.close();
        expect(await readByPython(target, format === 'arrow' ? 'ipc' : 'parquet')).toEqual(examples);
      }
      expect(await readRows(path.join(folder, 'arrow'))).toEqual(examples);
    } finally {
      await fs.rm(folder, { recursive: true, force: true });
    }
  },
  240_000,
);

const TEXTS = ['', 'a', 'é', '漢字', '\u{1D49C}\u{1D49C}', '__proto__', 'with "quotes" and \\', 'x'.repeat(300)];

function example(i: number): Example {
  const text = (step: number) => TEXTS[(i * step) % TEXTS.length];
  return {
    profile_id: `${text(1)}${i}`,
    work_id: text(3),
    title_id: text(5),
    impression_id: text(7),
    event_time: 1_764_000_000_000 + i * 86_399_999,
    label: i % 5 === 0 ? 1 : 0,
    weight: i % 5 === 0 ? 1 : 1 / 0.3,
    matured: i % 3 !== 0,
    country: text(1),
    device_type: text(3),
    profile_type: i % 4 === 0 ? null : text(5),
    page: text(7),
    row_type: text(1),
    surface_class: i % 2 === 0 ? 'discovery' : 'intent',
    row_rank: i - 5,
    position: 2 ** 31 - 1 - i,
    hour_of_day: i % 24,
    day_of_week: i % 7,
    impressions_24h: i,
    impressions_30d: i * 2,
    seconds_since_impression: i % 6 === 0 ? null : i / 7,
    plays: i % 11,
    qualified_plays: i % 9,
    watched_ms: i * 2 ** 38,
    seconds_since_play: i % 7 === 0 ? null : i * 1.1,
    discovered_before: i % 8 === 0,
  };
}
