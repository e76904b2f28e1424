import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Admin, Kafka } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestStack, type TestStack } from '../../local/testing.ts';
import { createKafka, createTopics } from '../../platform/kafka.ts';
import { silentLogger } from '../../platform/log.ts';
import { readLog } from '../../platform/read-log.ts';
import { fetchBounds } from '../../streaming/topics.ts';
import { whence, type Ran } from './run.ts';

let stack: TestStack<'kafka'>;
let kafka: Kafka;
let admin: Admin;
const PARTITIONS = 3;

beforeAll(async () => {
  stack = await startTestStack({ services: ['kafka'] });
  kafka = createKafka({ brokers: stack.kafka.brokers, clientId: 'whence-test', log: silentLogger() });
  admin = kafka.admin();
  await admin.connect();
});
afterAll(async () => {
  await admin?.disconnect();
  await stack?.stop();
});

/** Two topics of a test's own, and the command with them. */
async function world(name: string, configEntries: { name: string; value: string }[] = []) {
  const topics = { impressions: `${name}.impressions`, playback: `${name}.playback` };
  await createTopics(
    admin,
    Object.values(topics).map((topic) => ({ topic, numPartitions: PARTITIONS, configEntries })),
  );
  const env = {
    KAFKA_BROKERS: stack.kafka.brokers.join(','),
    WHENCE_IMPRESSION_TOPICS: topics.impressions,
    WHENCE_PLAYBACK_TOPICS: topics.playback,
  };
  const send = (args: readonly string[], input?: string | Buffer, more = {}): Promise<Ran> =>
    whence(['send', ...args], { env: { ...env, ...more }, ...(input !== undefined && { input }) });
  return { topics, send };
}

interface Read {
  partition: number;
  key: string | null;
  value: string;
  stampedAt: number;
}

async function readAll(topic: string): Promise<Read[]> {
  const bounds = (await fetchBounds(admin, [topic])).get(topic) ?? [];
  const records: Read[] = [];
  for (const [partition, { earliest, next }] of bounds.entries()) {
    await readLog(kafka, 'whence-test', [{ topic, partition, from: earliest, to: next }], (_, record) => {
      const { key, value, stampedAt } = record;
      records.push({ partition, key: key && String(key), value: String(value), stampedAt });
    });
  }
  return records;
}

function file(name: string, content: string | Buffer): string {
  const place = path.join(stack.directory, name);
  fs.writeFileSync(place, content);
  return place;
}

const event = (type: string, profile: string, n: number) =>
  JSON.stringify({ type, event_id: `${profile}-${n}`, profile_id: profile, n });

describe('whence send', () => {
  test('brings every line to the topic of its type, by its profile, as it stands, stamped now', async () => {
    const { topics, send } = await world('plain');
    const before = Date.now();
    const one = file(
      'windows.ndjson',
      `\ufeff${event('impression', 'ann', 1)}\r\n\r\n${event('playback', 'ann', 2)}\r\nnot json\r\n`,
    );
    const other = file('other.ndjson', `\n{"type":"search", "profile_id":"bob"}\n ${event('playback', 'zoë', 3)}`);
    const { code, stdout } = await send([one, other, '--json']);
    expect(JSON.parse(stdout)).toMatchObject({
      sent: { [topics.impressions]: 3, [topics.playback]: 2 },
      total: 5,
      unroutable: 2,
      empty: 2,
      not_sent: [],
      interrupted: false,
    });
    expect(code).toBe(0);
    const impressions = await readAll(topics.impressions);
    expect(impressions.map(({ key, value }) => [key, value]).sort()).toEqual([
      [null, 'not json'],
      ['ann', event('impression', 'ann', 1)],
      ['bob', '{"type":"search", "profile_id":"bob"}'],
    ]);
    const playback = await readAll(topics.playback);
    expect(playback.map(({ key, value }) => [key, value]).sort()).toEqual([
      ['ann', event('playback', 'ann', 2)],
      ['zoë', ` ${event('playback', 'zoë', 3)}`],
    ]);
    for (const { stampedAt } of [...impressions, ...playback]) {
      expect(stampedAt).toBeGreaterThanOrEqual(before);
      expect(stampedAt).toBeLessThanOrEqual(Date.now());
    }
    const home = impressions.find(({ key }) => key === 'ann')?.partition;
    expect(playback.find(({ key }) => key === 'ann')?.partition).toBe(home);
  });

  test('keeps the order of each profile, each line once, and tells people what it did', async () => {
    const { topics, send } = await world('order');
    const lines = Array.from({ length: 30_000 }, (_, i) => event('impression', `profile ${i % 40}`, i));
    const { code, stdout, stderr } = await send([file('many.ndjson', `${lines.join('\n')}\n`)]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Sent 30,000 lines in [\d.]+ s \([\d,]+ a second\)\n {2}order\.impressions: 30,000\n$/);
    expect(stderr).toContain('Kafka: the one that KAFKA_BROKERS names');
    const read = await readAll(topics.impressions);
    expect(read.map(({ value }) => value).sort()).toEqual(lines.sort());
    const last = new Map<string | null, number>();
    for (const { key, value } of read) {
      const { n } = JSON.parse(value) as { n: number };
      expect(n).toBeGreaterThan(last.get(key) ?? -1);
      last.set(key, n);
    }
    expect(last.size).toBe(40);
  });

  test('reads standard input, and keeps to a rate', async () => {
    const { topics, send } = await world('rate');
    const lines = Array.from({ length: 60 }, (_, i) => `${event('playback', 'p', i)}\n`);
    const { code, stdout } = await send(['--rate', '40', '--compression', 'none', '--json', '-'], lines.join(''));
    expect(code).toBe(0);
    const { total, seconds } = JSON.parse(stdout) as { total: number; seconds: number };
    expect(total).toBe(60);
    expect(seconds).toBeGreaterThan(1.2);
    expect(seconds).toBeLessThan(60);
    const stamps = (await readAll(topics.playback)).map(({ stampedAt }) => stampedAt);
    expect(Math.max(...stamps) - Math.min(...stamps)).toBeGreaterThan(1_000);
  });

  test('names the lines that are too long for the topic, and sends all others', async () => {
    const { topics, send } = await world('long', [{ name: 'max.message.bytes', value: '5000' }]);
    const long = (n: number) => JSON.stringify({ type: 'impression', profile_id: 'p', n, filler: randomText(6_000) });
    const lines = Array.from({ length: 300 }, (_, i) => (i === 7 || i === 200 ? long(i) : event('impression', 'p', i)));
    const place = file('long.ndjson', lines.join('\n'));
    const { code, stdout } = await send([place]);
    expect(code).toBe(1);
    expect(stdout).toContain('Sent 298 lines');
    expect(stdout).toContain('longer than the topic takes (its max.message.bytes): 2');
    expect(stdout).toContain(`${place}:8 (`);
    expect(stdout).toContain(`${place}:201 (`);
    const numbers = (await readAll(topics.impressions)).map(({ value }) => (JSON.parse(value) as { n: number }).n);
    expect(numbers).toEqual(Array.from({ length: 300 }, (_, i) => i).filter((i) => i !== 7 && i !== 200));
  });

  test('goes to the first topic that a pattern matches', async () => {
    const { topics, send } = await world('match');
    const patterns = {
      WHENCE_IMPRESSION_TOPICS: '/^match\\.(z|impr)/',
      WHENCE_PLAYBACK_TOPICS: '/^match\\.play/,other',
    };
    const { stdout } = await send(['-', '--json'], `${event('impression', 'p', 1)}\n`, patterns);
    expect(JSON.parse(stdout)).toMatchObject({ sent: { [topics.impressions]: 1 } });
  });

  test.each([
    [
      'a topic that is not there',
      ['-'],
      { WHENCE_PLAYBACK_TOPICS: 'plybck' },
      /Kafka has no topic "plybck", which WHENCE_PLAYBACK_TOPICS asks for; create the topics with: npx whence up/,
    ],
    [
      'files that are not there',
      ['a.ndjson', '/tmp', '-', 'b.ndjson', '-'],
      {},
      /-: standard input can be read once only\n {2}a\.ndjson: there is no such file\n {2}\/tmp: is a folder.*\n {2}b\.ndjson: there is no such file/,
    ],
    [
      'a Kafka that is not there',
      ['-'],
      { KAFKA_BROKERS: '127.0.0.1:1' },
      /Kafka at 127\.0\.0\.1:1 cannot be reached .*check KAFKA_BROKERS/,
    ],
  ])('%s is an error with what to do', async (_, args, env, words) => {
    const { send } = await errorWorld;
    const { code, stdout, stderr } = await send(args, event('impression', 'p', 1), env);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(words);
    expect(stderr).not.toContain('    at ');
  });

  test('a file of Windows PowerShell is an error with what to do', async () => {
    const { send } = await errorWorld;
    const { code, stderr } = await send([file('utf16.ndjson', Buffer.from('\ufeff{}\r\n', 'utf16le'))]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/error: .*utf16\.ndjson is UTF-16, expected NDJSON in UTF-8; convert it/);
  });
});

let errorWorld: ReturnType<typeof world>;
beforeAll(async () => {
  errorWorld = world('errors');
  await errorWorld;
});

// Last: it takes the broker away.
describe('a broker that dies while lines are on their way', () => {
  test('is waited for, and holds every line once, in order', async () => {
    const { topics, send } = await world('killed');
    const lines = Array.from({ length: 100_000 }, (_, i) => event('impression', `profile ${i % 40}`, i));
    const sending = send([file('killed.ndjson', lines.join('\n'))]);
    const delivered = async () => (await fetchBounds(admin, [topics.impressions])).get(topics.impressions) ?? [];
    while ((await delivered()).every(({ next }) => next < 5_000)) await sleep(10);
    await stack.kafka.kill();
    await stack.restart('kafka');
    const { code, stdout, stderr } = await sending;
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('Sent 100,000 lines');
    const numbers = new Map<string | null, number[]>();
    for (const { key, value } of await readAll(topics.impressions)) {
      const ofKey = numbers.get(key) ?? [];
      numbers.set(key, ofKey);
      ofKey.push((JSON.parse(value) as { n: number }).n);
    }
    expect(numbers.size).toBe(40);
    for (const [key, sent] of numbers) {
      const first = Number(key?.replace('profile ', ''));
      expect(sent).toEqual(Array.from({ length: 2_500 }, (_, i) => first + i * 40));
    }
  });
});

/** Does not compress. */
function randomText(length: number): string {
  return Array.from({ length }, () => Math.random().toString(36)[3] ?? 'x').join('');
}
