import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import type { Admin, Kafka } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase, startTestStack, withDatabase, type TestStack } from '../../local/testing.ts';
import type { BatchStatus } from '../../observe/batch-status.ts';
import { createKafka, createTopics } from '../../platform/kafka.ts';
import { silentLogger } from '../../platform/log.ts';
import { openPool, type Pool } from '../../platform/postgres.ts';
import { readLog } from '../../platform/read-log.ts';
import type { LedgerFile } from '../../simulator/simulate.ts';
import { explainPlay } from '../../streaming/explain-play.ts';
import { fetchBounds } from '../../streaming/topics.ts';
import { whence } from './run.ts';

// What the commands say of a stream that has read a simulated day.

const PARTITIONS = 2;
let stack: TestStack<'postgres' | 'kafka' | 'temporal'>;
let kafka: Kafka;
let admin: Admin;
let pool: Pool;
let env: Record<string, string>;
let simulated: LedgerFile;

beforeAll(async () => {
  stack = await startTestStack({ services: ['postgres', 'kafka', 'temporal'] });
  env = {
    DATABASE_URL: await createDatabase(stack.postgres.databaseUrl),
    KAFKA_BROKERS: stack.kafka.brokers.join(','),
    TEMPORAL_ADDRESS: stack.temporal.address,
  };
  kafka = createKafka({ brokers: stack.kafka.brokers, clientId: 'whence-test', log: silentLogger() });
  admin = kafka.admin();
  await admin.connect();
  const topics = [
    { topic: 'impressions', numPartitions: PARTITIONS },
    { topic: 'playback', numPartitions: PARTITIONS },
    { topic: 'whence.dlq', numPartitions: 1 },
  ];
  await createTopics(admin, topics);
  pool = await openPool({ databaseUrl: env['DATABASE_URL'], applicationName: 'whence-test', log: silentLogger() });

  const out = path.join(stack.directory, 'day.ndjson');
  const simulation = await whence(['simulate', '--profiles', '60', '--days', '2', '--seed', '4', '--out', out]);
  expect(simulation.code, simulation.stderr).toBe(0);
  simulated = JSON.parse(fs.readFileSync(out.replace('.ndjson', '.ledger.json'), 'utf8')) as LedgerFile;
  expect((await whence(['send', out], { env })).code).toBe(0);
  await streamAll();
});
afterAll(async () => {
  await pool?.end();
  await admin?.disconnect();
  await stack?.stop();
});

async function streamAll(): Promise<void> {
  const { code, stderr } = await whence(['stream', '--until-caught-up'], {
    env: { ...env, WHENCE_LOG_LEVEL: 'error' },
  });
  expect(code, stderr).toBe(0);
}

interface Answers {
  ledger: LedgerAnswer;
  status: StatusAnswer;
  dlq: DlqAnswer;
  migrate: { applied: string[] };
}

async function json<Name extends keyof Answers>(command: Name, args: readonly string[] = [], more = {}) {
  const { code, stdout } = await whence([command, ...args, '--json'], { env: { ...env, ...more } });
  return { code, answer: JSON.parse(stdout) as Answers[Name] };
}

interface LedgerAnswer {
  balanced: boolean;
  total: Record<string, number>;
  lines: object[];
  partitions: { topic: string; partition: number; balance: string; lag: number | null; delivered: number | null }[];
}

describe('whence ledger', () => {
  test('counts what the simulator injected, and balances with what Kafka delivered', async () => {
    const { code, answer } = await json('ledger', ['--by-partition']);
    const sum = (outcome: 'applied' | 'duplicate' | 'late' | 'excluded' | 'dead_lettered') =>
      simulated.expected.reduce((total, row) => total + row[outcome], 0);
    expect(answer.total).toMatchObject({
      consumed: simulated.records,
      applied: sum('applied'),
      duplicate: sum('duplicate'),
      late: sum('late'),
      excluded: sum('excluded'),
      dead_lettered: sum('dead_lettered'),
    });
    expect(answer.balanced).toBe(true);
    expect(answer.partitions).toHaveLength(2 * PARTITIONS);
    for (const partition of answer.partitions) expect(partition).toMatchObject({ balance: 'exact', lag: 0 });
    expect(answer.partitions.reduce((total, { delivered }) => total + (delivered ?? 0), 0)).toBe(simulated.records);
    expect(code).toBe(0);
  });

  test('tells people, and what is missing where Kafka is down', async () => {
    const { code, stdout } = await whence(['ledger'], { env });
    expect(code).toBe(0);
    expect(stdout).toContain(
      `It balances: every one of ${simulated.records.toLocaleString('en-US')} records read is counted once.`,
    );
    const down = await whence(['ledger'], { env: { ...env, KAFKA_BROKERS: '127.0.0.1:1' } });
    expect(down.code).toBe(1);
    expect(down.stdout).toContain('impressions');
    expect(down.stderr).toMatch(/Kafka at 127\.0\.0\.1:1 cannot be reached .* What was delivered is not known\./);
  });

  test('says so where more is counted than was read', async () => {
    await pool.query(
      "update whence.ledger set consumed = consumed + 9, late = late + 9 where topic = 'playback' and partition = 0",
    );
    const { code, stdout } = await whence(['ledger'], { env });
    await pool.query(
      "update whence.ledger set consumed = consumed - 9, late = late - 9 where topic = 'playback' and partition = 0",
    );
    expect(code).toBe(1);
    expect(stdout).toContain('It does NOT balance: more was counted than was read: playback/0');
  });
});

interface StatusAnswer {
  servers: { server: string; up: boolean; problem: string | null }[];
  stream: { tasks: { task: number; epoch: number; lag: number | null }[]; totals: Record<string, number> } | null;
  batch: BatchStatus | null;
}

describe('whence status', () => {
  test('says what runs, and how far the stream is', async () => {
    const { code, answer } = await json('status');
    expect(code).toBe(0);
    expect(answer.servers.every(({ up, problem }) => up && problem === null)).toBe(true);
    const { rows: taken } = await pool.query<{ epoch: number }>('select epoch from whence.speed_tasks order by task');
    expect(answer.stream?.tasks).toMatchObject(taken.map(({ epoch }, task) => ({ task, epoch, lag: 0 })));
    expect(taken).toHaveLength(PARTITIONS);
    const { rows } = await pool.query<{ count: number }>('select count(*) as count from whence.plays');
    expect(answer.stream?.totals).toMatchObject({ plays: rows[0].count, unrelayed: 0 });
    const { stdout } = await whence(['status'], { env });
    expect(stdout).toMatch(/Kafka +up .*named by KAFKA_BROKERS/);
    expect(stdout).toMatch(/plays .*final/);
  });

  test('says which days are open: all that have plays, until a version covers them', async () => {
    const { answer } = await json('status');
    const { rows: days } = await pool.query<{ day: string; plays: number }>(
      'select day, count(*) as plays from whence.plays group by day order by day desc',
    );
    expect(days.length).toBeGreaterThan(1);
    expect(answer.batch).toMatchObject({ version: null, covered_days: 0 });
    expect(answer.batch?.open_days.filter(({ plays }) => plays > 0)).toMatchObject(
      days.map((open) => ({ ...open, covered: false, open_plays: null, dirty_keys: null })),
    );
    const { stdout } = await whence(['status'], { env });
    expect(stdout).toContain('no day is reconciled yet');
    expect(stdout).toContain(`${days[0].day} (not covered, ${days[0].plays} plays)`);
  });

  test('says what is down, and tells of the rest', async () => {
    const { code, answer } = await json('status', [], { KAFKA_BROKERS: '127.0.0.1:1' });
    expect(code).toBe(1);
    expect(answer.servers.filter(({ up }) => !up).map(({ server }) => server)).toEqual(['kafka']);
    expect(answer.stream?.tasks.map(({ lag }) => lag)).toEqual([null, null]);
    const nothing = { DATABASE_URL: '', KAFKA_BROKERS: '', TEMPORAL_ADDRESS: '', WHENCE_DATA_DIR: stack.directory };
    const none = await json('status', [], nothing);
    expect(none.code).toBe(1);
    expect(none.answer.stream).toBeNull();
    for (const { problem } of none.answer.servers) expect(problem).toContain('npx whence up');
  });
});

describe('whence explain', () => {
  const kinds = {
    'a discovery': 'is_discovery',
    'one that inherits': 'discovered_at is not null and not is_discovery',
    'one without a discovery': 'discovered_at is null',
    'a claim': "rule = 'origin_claim'",
    'nothing known': "rule = 'unknown'",
  };

  test('derives from the log what the row says, for each kind of play', async () => {
    for (const [kind, condition] of Object.entries(kinds)) {
      const { rows } = await pool.query<{ play_id: string }>(
        `select play_id from whence.plays where ${condition} order by md5(play_id::text) limit 2`,
      );
      expect(rows.length, kind).toBeGreaterThan(0);
      for (const { play_id } of rows) {
        const { facts, served, explanation } = await explainPlay(pool, kafka, play_id);
        expect(facts, `${kind}: ${play_id}`).toBe('agree');
        expect(explanation?.rule).toBe(served.rule);
        const winner = explanation?.candidates.find(({ source_of_play: verdict }) => verdict.startsWith('won'));
        expect(winner?.impression_id ?? null).toBe(served.sop_impression_id);
      }
    }
    const { groups } = await admin.listGroups();
    expect(groups.filter(({ groupId }) => groupId.startsWith('whence-explain'))).toEqual([]);
  });

  test('tells people the rule, the path, the credits and every candidate', async () => {
    const { rows } = await pool.query<{ play_id: string; sop_impression_id: string }>(
      `select p.play_id, p.sop_impression_id from whence.plays p join whence.speed_plays s using (play_id)
       where p.rule = 'last_impression' and cardinality(s.path_impression_id) >= 2 and p.is_discovery limit 1`,
    );
    const { code, stdout } = await whence(['explain', rows[0].play_id.toUpperCase()], { env });
    expect(code).toBe(0);
    expect(stdout).toContain(`Play ${rows[0].play_id}`);
    expect(stdout).toContain('rule last_impression: the launch says nothing; the last impression');
    expect(stdout).toContain('its own: the first qualified play of this work by this profile');
    expect(stdout).toMatch(/last_touch +first_touch +linear +position_based +time_decay\n/);
    expect(stdout).toMatch(new RegExp(`${rows[0].sop_impression_id} +wins: the last impression before the play`));
  });

  test('an unknown play is an error', async () => {
    const { code, stderr } = await whence(['explain', '00000000-0000-4000-8000-000000000000'], { env });
    expect(code).toBe(1);
    expect(stderr).toContain('error: There is no play 00000000-0000-4000-8000-000000000000.');
  });
});

interface DlqAnswer {
  total: number;
  sent: Record<string, number>;
  letters: { topic: string; reason: string; value?: string; replayed_at: string | null }[];
}

describe('whence dlq', () => {
  test('lists what there is, by reason, topic and day', async () => {
    const all = await json('dlq', ['list', '--limit', '1000']);
    expect(all.answer.letters).toHaveLength(all.answer.total);
    const some = await json('dlq', ['list', '--reason', 'not_json', '--topic', 'impressions']);
    const expected = all.answer.letters.filter(({ reason, topic }) => reason === 'not_json' && topic === 'impressions');
    expect(some.answer.total).toBe(expected.length);
    expect(expected.length).toBeGreaterThan(0);
    const { code, stdout } = await whence(['dlq', 'list', '--limit', '1', '--day', '2000-01-01'], { env });
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'There are no dead letters of 2000-01-01.\n' });
  });

  test('counts by topic, day and reason; filters by field, days and partition; shows one byte for byte', async () => {
    const all = (await json('dlq', ['list', '--limit', '1000'])).answer;
    const { code, stdout } = await whence(['dlq', 'count', '--json'], { env });
    const { counts } = JSON.parse(stdout) as { counts: { count: number; not_replayed: number }[] };
    expect(code).toBe(0);
    expect(counts.reduce((sum, { count }) => sum + count, 0)).toBe(all.total);
    const letters = all.letters as unknown as { id: number; field: string | null; day: string; partition: number }[];
    const one = letters.find(({ field }) => field !== null);
    const { id, field, day, partition } = one ?? letters[0];
    const like = letters.filter((l) => l.field === field && l.day === day && l.partition === partition);
    const filter = ['--field', String(field), '--from', day, '--to', day, '--partition', String(partition)];
    expect((await json('dlq', ['list', ...filter])).answer.total).toBe(like.length);
    const { rows } = await pool.query<{ value: Buffer }>('select value from whence.dead_letters where id = $1', [id]);
    expect((await whence(['dlq', 'show', String(id), '--raw'], { env })).stdout).toBe(rows[0].value.toString('utf8'));
    expect((await whence(['dlq', 'show', '0'], { env })).stderr).toContain('error: There is no dead letter 0');
  });

  test('sends them again once, where they came from, as they were; what stays wrong is the letter that it was', async () => {
    const key = Buffer.from('pröfile');
    const value = Buffer.from([0x7b, 0xff, 0x00]);
    await pool.query(
      `insert into whence.dead_letters (topic, partition, "offset", day, reason, message, key, value, stamped_at)
       values ('playback', 1, 999999999, '2001-01-01', 'not_json', 'x', $1, $2, now())`,
      [key, value],
    );
    const before = (await fetchBounds(admin, ['playback'])).get('playback') ?? [];
    const dry = await json('dlq', ['replay', '--day', '2001-01-01', '--dry-run']);
    expect(dry.answer.total).toBe(1);
    const once = await json('dlq', ['replay', '--day', '2001-01-01']);
    expect(once).toMatchObject({ code: 0, answer: { total: 1, sent: { playback: 1 } } });
    const again = await whence(['dlq', 'replay', '--day', '2001-01-01'], { env });
    expect(again.stdout).toContain('There is nothing to send again of 2001-01-01');
    const after = (await fetchBounds(admin, ['playback'])).get('playback') ?? [];
    // The end of a transaction takes an offset, too.
    expect(after.map(({ next }, partition) => next - before[partition].next)).toEqual([0, 2]);
    const range = { topic: 'playback', partition: 1, from: before[1].next, to: after[1].next };
    const got: unknown[] = [];
    await readLog(kafka, 'whence-test', [range], (_, record) => got.push([record.key, record.value]));
    expect(got).toEqual([[key, value]]);

    const all = await json('dlq', ['list', '--limit', '0']);
    const rest = await json('dlq', ['replay']);
    expect(rest.answer.total).toBe(all.answer.total - 1);
    await streamAll();
    const { rows } = await pool.query<{ open: number; back: number; total: number }>(
      'select count(*) filter (where replayed_at is null) as open, sum(replays)::int as back, count(*) as total from whence.dead_letters',
    );
    expect(rows[0]).toEqual({ open: all.answer.total, back: all.answer.total, total: all.answer.total });
    expect((await json('ledger')).answer.balanced).toBe(true);
  });

  test('a topic that is gone is an error, and nothing is sent', async () => {
    await pool.query(
      `insert into whence.dead_letters (topic, partition, "offset", day, reason, message, stamped_at)
       values ('old.topic', 0, 1, '2001-01-02', 'not_json', 'x', now())`,
    );
    const { code, stderr } = await whence(['dlq', 'replay', '--day', '2001-01-02'], { env });
    await pool.query("delete from whence.dead_letters where topic = 'old.topic'");
    expect(code).toBe(1);
    expect(stderr).toContain('error: Kafka no longer has old.topic, where dead letters came from');
  });

  test('ends quietly when nobody reads on', async () => {
    await pool.query(
      `insert into whence.dead_letters (topic, partition, "offset", day, reason, message, value, stamped_at)
       select 'big', 0, n, '2001-01-03', 'not_json', repeat('x', 2000), repeat('y', 200)::bytea, now() from generate_series(1, 500) n`,
    );
    const launcher = fileURLToPath(new URL('../../cli/whence.js', import.meta.url));
    const command = `"${process.execPath}" "${launcher}" dlq list --limit 500 --json | head -c 10`;
    const { exitCode, stdout, stderr } = await execa('bash', ['-o', 'pipefail', '-c', command], { env, reject: false });
    await pool.query("delete from whence.dead_letters where topic = 'big'");
    expect({ exitCode, stdout: stdout.slice(0, 1) }).toEqual({ exitCode: 0, stdout: '{' });
    expect(stderr).toBe('Postgres: the one that DATABASE_URL names');
  });
});

describe('whence migrate', () => {
  test('makes the schema, once; without it, other commands say what to do', async () => {
    await pool.query('create database unmigrated');
    const there = { DATABASE_URL: withDatabase(stack.postgres.databaseUrl, 'unmigrated') };
    const early = await whence(['dlq', 'list'], { env: there });
    expect(early.code).toBe(1);
    expect(early.stderr).toMatch(/error: The database is not up to date .*run: npx whence migrate/);
    const first = await whence(['migrate'], { env: there });
    expect(first.code).toBe(0);
    expect(first.stdout).toMatch(/^applied 0001_roles_and_schema\napplied [^]*Up to date: /);
    const second = await json('migrate', [], there);
    expect(second).toMatchObject({ code: 0, answer: { applied: [] } });
  });
});

// Last: it takes the facts away.
describe('whence explain without the facts', () => {
  test('says so, and what the row itself says', async () => {
    for (const topic of ['impressions', 'playback']) {
      const bounds = await admin.fetchTopicOffsets(topic);
      await admin.deleteTopicRecords({
        topic,
        partitions: bounds.map(({ partition, high }) => ({ partition, offset: high })),
      });
    }
    const { rows } = await pool.query<{ play_id: string }>(
      'select play_id from whence.plays where is_discovery limit 1',
    );
    const { code, stdout } = await whence(['explain', rows[0].play_id], { env });
    expect(code).toBe(0);
    expect(stdout).toContain('Source of discovery: ');
    expect(stdout).toContain('The facts behind this play are no longer there');
  });
});
