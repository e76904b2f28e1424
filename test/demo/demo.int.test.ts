import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseRecord } from '../../attribution/validate.ts';
import { readStackState, runningServices } from '../../local/stack-state.ts';
import { findServers } from '../../local/find-servers.ts';
import { createKafka, withAdmin } from '../../platform/kafka.ts';
import { silentLogger } from '../../platform/log.ts';
import { openPool, type Pool } from '../../platform/postgres.ts';
import { readLog } from '../../platform/read-log.ts';
import { readSettings } from '../../platform/settings.ts';
import type { LogRecord } from '../oracle/oracle.ts';
import { oracle } from '../oracle/oracle.ts';

const LAUNCHER = fileURLToPath(new URL('../../cli/whence.js', import.meta.url));

let dataDir: string;
let stdout: string;
let pool: Pool;
let log: LogRecord[];
let days: string[];

function demo(...args: string[]) {
  // What a shell names is not the demo's.
  const env = {
    WHENCE_DATA_DIR: dataDir,
    DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
    NODE_ENV: '',
    VITEST: '',
  };
  return execa(process.execPath, [LAUNCHER, 'demo', ...args], { env, reject: false });
}

beforeAll(async () => {
  dataDir = fs.mkdtempSync(path.join(os.tmpdir(), 'whence-demo-'));
  fs.chmodSync(dataDir, 0o711);
  const run = await demo('--profiles', '120', '--days', '2');
  expect(run).toMatchObject({ exitCode: 0 });
  stdout = run.stdout;
  const settings = readSettings({ WHENCE_DATA_DIR: path.join(dataDir, 'demo') });
  const { postgres, kafka } = findServers(settings);
  if (postgres === null || kafka === null) throw new Error('the demo left no servers running');
  pool = await openPool({ databaseUrl: postgres.address, applicationName: 'whence-test', log: silentLogger() });
  log = await recordsOf(createKafka({ ...kafka.address, clientId: 'whence-test', log: silentLogger() }));
  const { rows } = await pool.query<{ day: string }>(
    'select day::text as day from whence.days where covered order by day',
  );
  days = rows.map(({ day }) => day);
}, 400_000);
afterAll(async () => {
  await pool.end();
  await demo('--stop');
  fs.rmSync(dataDir, { recursive: true, force: true });
});

/** All valid records of the simulation: the demo's own play of the moment came after its numbers. */
async function recordsOf(kafka: ReturnType<typeof createKafka>): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  const topics = ['impressions', 'playback'];
  const ranges = await withAdmin(kafka, async (admin) =>
    (
      await Promise.all(
        topics.map(async (topic) =>
          (await admin.fetchTopicOffsets(topic)).map(({ partition, low, high }) => ({
            topic,
            partition,
            from: Number(low),
            to: Number(high),
          })),
        ),
      )
    ).flat(),
  );
  for (const range of ranges) {
    await readLog(kafka, 'whence-test', [range], (topic, { offset, stampedAt, value }) => {
      const read = parseRecord(value, stampedAt);
      if (!read.ok || read.event.profile_id.startsWith('you-')) return;
      records.push({ topic, partition: range.partition, offset, event: read.event });
    });
  }
  return records;
}

/** The rows of the table that follows a heading. */
function tableAfter(heading: string): string[][] {
  const lines = stdout.slice(stdout.indexOf(heading)).split('\n');
  const header = lines.findIndex((line) => !line.startsWith('==') && !line.trim().startsWith('$'));
  const rows = lines.slice(header + 1);
  return rows
    .slice(
      0,
      rows.findIndex((line) => !/^ {2}\S+ +[\d,]/.test(line)),
    )
    .map((line) => line.trim().split(/ {2,}/));
}

test('the rows that it shows from the speed layer are those of the oracle', () => {
  const { plays, discoveries } = oracle(log, 'speed');
  const counts = new Map<string, number>();
  for (const { sod_row_type, sod_surface } of discoveries) {
    const source = sod_row_type ?? sod_surface;
    counts.set(source, (counts.get(source) ?? 0) + 1);
  }
  const shown = tableAfter('== Which rows led to discoveries?');
  expect(shown.length).toBeGreaterThan(4);
  expect(shown.map(([source, found]) => [source, Number(found)])).toEqual(
    shown.map(([source]) => [source, counts.get(source)]),
  );
  expect(plays.length).toBeGreaterThan(100);
});

test('what batch serves afterwards are the plays of the oracle, corrected', async () => {
  const { rows } = await pool.query<{
    profile_id: string;
    work_id: string;
    started_at: Date;
    sod_impression_id: string | null;
  }>(
    `select profile_id, work_id, started_at, sod_impression_id from whence.plays p
     where layer = 'batch' and not exists (
       select from whence.plays o
       where o.profile_id = p.profile_id and o.work_id = p.work_id and o.layer = 'speed'
     )`,
  );
  const key = (play: { profile_id: string; work_id: string; started_at: Date | number }) =>
    `${play.profile_id}/${play.work_id}/${Number(play.started_at)}`;
  const expected = new Map(oracle(log, 'batch').plays.map((play) => [key(play), play.sod_impression_id]));
  expect(rows.length).toBeGreaterThan(100);
  for (const play of rows) expect(play.sod_impression_id).toBe(expected.get(key(play)));
});

test('the corrections that it shows are those of Postgres', async () => {
  const { rows } = await pool.query<{ cause: string; n: number }>(
    'select cause, count(*) as n from whence.corrections group by cause order by n desc',
  );
  expect(rows.length).toBeGreaterThan(1);
  expect(tableAfter('== What was corrected').map(([cause, n]) => ({ cause, n: Number(n) }))).toEqual(rows);
});

test('the dataset that it shows is there, with as many positives as Postgres has discoveries that name an impression of its days', async () => {
  const { rows } = await pool.query<{ positives: number; discoveries: number }>(
    `select d.positives, (
       select count(*) from whence.discoveries v join whence.plays p using (play_id)
       where p.layer = 'batch' and v.sod_impression_id is not null
     ) as discoveries
     from whence.datasets d where name = 'demo' and status = 'published'`,
  );
  expect(rows).toHaveLength(1);
  expect(rows[0].positives).toBe(rows[0].discoveries);
  expect(stdout).toContain(`${rows[0].positives.toLocaleString('en-US')} positive`);
});

test('days, schedule and addresses are as it says; stopped, it leaves nothing running', async () => {
  expect(days).toHaveLength(2);
  expect(stdout).toContain('in Postgres');
  expect(stdout).toContain("Temporal's UI   http://127.0.0.1:");
  const folder = path.join(dataDir, 'demo');
  const left = JSON.parse(fs.readFileSync(path.join(folder, 'demo.json'), 'utf8')) as { pid: number }[];
  expect(left).toHaveLength(3);
  expect(Object.keys(readStackState(folder)).sort()).toEqual(['kafka', 'postgres', 'temporal']);
  expect((await demo('--stop')).exitCode).toBe(0);
  expect(runningServices(folder)).toEqual({});
  for (const { pid } of left) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
});
