/** Lines a second of `simulate` to a file: `npx tsx bench/simulate.ts [profiles] [days]`. */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LineFile } from '../simulator/line-file.ts';
import { simulate } from '../simulator/simulate.ts';

const profiles = Number(process.argv[2] ?? 5_000);
const days = Number(process.argv[3] ?? 3);
const folder = await mkdtemp(join(tmpdir(), 'whence-simulate-'));
try {
  const path = join(folder, 'stream.ndjson');
  const started = performance.now();
  const simulation = simulate({ profiles, days, seed: 1, from: Date.UTC(2025, 0, 1) });
  const file = await LineFile.create(path);
  for (const batch of simulation.batches) {
    for (const { line } of batch) file.add(line);
    await file.drained();
  }
  await file.close();
  const seconds = (performance.now() - started) / 1000;
  const { records } = simulation.ledger();
  const megabytes = (await stat(path)).size / 1e6;
  console.log(
    `${records} lines, ${megabytes.toFixed(0)} MB in ${seconds.toFixed(2)} s: ` +
      `${Math.round(records / seconds)} lines/s, ${Math.round(process.memoryUsage().rss / 1e6)} MB resident`,
  );
} finally {
  await rm(folder, { recursive: true });
}
