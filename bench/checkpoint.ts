/**
 * A checkpoint of many held impressions, and recovery from it: `npx tsx bench/checkpoint.ts [millions]`.
 *
 * Impressions are read into the state of one task, a checkpoint is written to a local directory while more is read, and the
 * state is restored from it. Beside it, the alternative: the same records read again. Without Kafka and Postgres, which would
 * only add to the alternative. CPU is that of all threads: what others do on the machine makes it no longer, as it does pauses.
 */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { defaultPolicy } from '../attribution/policy.ts';
import type { RecordReader } from '../platform/record-reader.ts';
import { openLocalStorage } from '../platform/storage.ts';
import { Random } from '../simulator/random.ts';
import { restoreCheckpoint } from '../streaming/checkpoint-load.ts';
import { storeCheckpoint, type Written } from '../streaming/checkpoint-write.ts';
import { TaskState } from '../streaming/task-state.ts';
import { recordOfValue } from '../test/records.ts';

const RECORDS = Number(process.argv[2] ?? 5) * 1_000_000;
/** Read while the checkpoint is written, and at a time: as the stream does between two looks at anything else. */
const MORE = 400_000;
const STRIDE = 4_000;
/** Up to here code is still being compiled: pauses are not counted. */
const WARM = 400_000;
const PROFILES = Math.ceil(RECORDS / 25);
const TOPICS = ['impressions', 'playback'];
const BEGIN = Date.UTC(2025, 10, 1);
const SPAN = 20 * 60 * 60 * 1000;
const ROWS = ['because_you_watched', 'trending', 'top_10', 'genre', 'continue_watching', 'new_releases'];

const random = new Random(1, 'checkpoint');
const profiles = Array.from({ length: PROFILES }, () => random.uuid());

function valueOf(index: number): Buffer {
  const row = random.pick(ROWS);
  const title = random.below(3_000);
  return Buffer.from(
    `{"type":"impression","event_id":"${random.uuid()}","event_time":${BEGIN + Math.floor((index / RECORDS) * SPAN)},` +
      `"profile_id":"${random.pick(profiles)}","country":"US","device_type":"tv","page_view_id":"v${index}",` +
      `"page":"home","row_type":"${row}","row_id":"${row}:${title % 50}","row_rank":${random.below(40)},` +
      `"position":${random.below(20)},"title_id":"${70_000_000 + title}","token":"t.${random.hex()}"}`,
  );
}

function record(index: number, value = valueOf(index)): RecordReader {
  return recordOfValue(value, index, '1790000000000');
}

const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const mb = (bytes: number) => (bytes / 1e6).toFixed(0);

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'whence-bench-'));
try {
  const storage = await openLocalStorage(directory);
  const state = new TaskState(0, TOPICS, defaultPolicy, {}, {});
  let reading = 0;
  let longestStride = 0;
  let dearestStride = 0;
  for (let from = 0; from < RECORDS; from += STRIDE) {
    const records = Array.from({ length: STRIDE }, (_, i) => record(from + i));
    const begun = cpu();
    const at = performance.now();
    for (const each of records) state.read(0, each, true);
    const waited = performance.now() - at;
    const spent = cpu() - begun;
    reading += spent;
    if (from < WARM) continue;
    longestStride = Math.max(longestStride, waited);
    dearestStride = Math.max(dearestStride, spent);
  }
  state.takeDelta([false, false]);
  global.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  const per = (heapUsed + arrayBuffers - PROFILES * 64) / RECORDS;
  console.log(`${(RECORDS / 1e6).toFixed(1)} million impressions held, ${per.toFixed(0)} bytes each, keys and all`);
  console.log(
    `reading them: ${reading.toFixed(1)} CPU-s; the longest ${STRIDE} of them took ${longestStride.toFixed(0)} ms, ` +
      `at most ${(dearestStride * 1000).toFixed(0)} CPU-ms`,
  );

  const place = { storage, prefix: 'checkpoints/bench/0/', epoch: 1, policy: defaultPolicy.hash };
  const written: Written = new WeakMap();
  // In one piece of memory: so many objects of the bench itself would make the collector pause.
  const values = Array.from({ length: MORE / STRIDE }, (_, stride) => {
    const each = Array.from({ length: STRIDE }, (_, i) => valueOf(RECORDS + stride * STRIDE + i));
    return { bytes: Buffer.concat(each), lengths: Uint16Array.from(each, ({ length }) => length) };
  });
  let done = 0;
  const first = await checkpoint('the first checkpoint');
  await checkpoint('the next, of what is new');

  const begun = cpu();
  const at = performance.now();
  const wanted = { topics: TOPICS, policy: defaultPolicy, earliest: [0, 0], committed: [Infinity, Infinity] };
  const { state: restored } = await restoreCheckpoint(place, first, wanted);
  console.log(
    `recovery: ${((performance.now() - at) / 1000).toFixed(1)} s, ${(cpu() - begun).toFixed(1)} CPU-s, ` +
      `${restored.store.records.toLocaleString('en')} records; reading them again takes ${reading.toFixed(1)} CPU-s`,
  );

  /** Writes one while the task reads on, and says how long at most reading had to wait for its turn. */
  async function checkpoint(what: string): Promise<string> {
    const start = performance.now();
    const spent = cpu();
    const cut = state.cut();
    let longest = performance.now() - start;
    let dearest = cpu() - spent;
    const ended = new AbortController();
    const writing = storeCheckpoint(place, cut, written, new AbortController().signal).finally(() => ended.abort());
    let own = 0;
    while (!ended.signal.aborted) {
      const used = cpu();
      if (done < MORE) {
        const { bytes, lengths } = values[done / STRIDE];
        let at = 0;
        for (const length of lengths) state.read(0, record(RECORDS + done++, bytes.subarray(at, (at += length))), true);
      }
      const mid = cpu();
      own += mid - used;
      const turn = performance.now();
      await nextTurn();
      longest = Math.max(longest, performance.now() - turn);
      dearest = Math.max(dearest, cpu() - mid);
    }
    const { head, bytes, newBytes } = await writing;
    console.log(
      `${what}: ${((performance.now() - start) / 1000).toFixed(1)} s, ${(cpu() - spent - own).toFixed(1)} CPU-s, ` +
        `${mb(newBytes)} MB written of ${mb(bytes)}; reading waited ${longest.toFixed(0)} ms at most, ` +
        `${(dearest * 1000).toFixed(0)} CPU-ms`,
    );
    return head;
  }
} finally {
  fs.rmSync(directory, { recursive: true, force: true });
}
