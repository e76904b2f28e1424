import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { resolveAddresses } from '../../local/addresses.ts';
import { freePort } from '../../local/ports.ts';
import { isRunning, processIdentity, type Runnable } from '../../local/process.ts';
import { readStackState } from '../../local/stack-state.ts';
import { startStack } from '../../local/stack.ts';
import { createKafka } from '../../platform/kafka.ts';
import { silentLogger } from '../../platform/log.ts';
import { openClient } from '../../platform/postgres.ts';
import { readSettings } from '../../platform/settings.ts';
import { connectTemporal } from '../../platform/temporal.ts';

const WHENCE = fileURLToPath(new URL('whence.ts', import.meta.url));
const NAMES = ['postgres', 'kafka', 'temporal'] as const;
const PORT_OPTIONS = ['--postgres-port=0', '--kafka-port=0', '--temporal-port=0', '--temporal-ui-port=0'];

let dataDir: string;
const started = new Map<string, Runnable>();

/** Runs the command as a process of its own, as people do. */
async function whence(args: string[], env: NodeJS.ProcessEnv = {}) {
  const result = await execa('node', ['--import', 'tsx', WHENCE, ...args], {
    reject: false,
    stdin: 'ignore',
    env: { WHENCE_DATA_DIR: dataDir, DATABASE_URL: '', KAFKA_BROKERS: '', TEMPORAL_ADDRESS: '', ...env },
  });
  for (const record of Object.values(readStackState(dataDir))) {
    started.set(JSON.stringify(record.runnable), record.runnable);
  }
  return result;
}

/** The pid of a server that this test started: the only thing to be killed here. */
function pidOf(name: (typeof NAMES)[number]): number {
  const runnable = readStackState(dataDir)[name]?.runnable;
  if (runnable?.kind !== 'process' || !isRunning(runnable)) throw new Error(`${name} is not a running process`);
  return runnable.pid;
}

/** What runs of the three, each a process or, for Kafka, a container. */
function running(): Runnable[] {
  const state = readStackState(dataDir);
  return NAMES.map((name) => {
    const runnable = state[name]?.runnable;
    if (runnable === undefined || !isRunning(runnable)) throw new Error(`${name} does not run`);
    return runnable;
  });
}

const settings = () => readSettings({ WHENCE_DATA_DIR: dataDir });

/** The three addresses, as a shell reads them. */
async function evaluated(exports: string): Promise<Record<string, string>> {
  const script = `${exports}\nprintf '%s\\n' "$DATABASE_URL" "$KAFKA_BROKERS" "$TEMPORAL_ADDRESS"`;
  const { stdout } = await execa('sh', ['-c', script]);
  const [databaseUrl = '', kafkaBrokers = '', temporalAddress = ''] = stdout.split('\n');
  return { databaseUrl, kafkaBrokers, temporalAddress };
}

beforeAll(() => {
  dataDir = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'whence-stack-')), 'data');
  fs.chmodSync(path.dirname(dataDir), 0o711);
});
afterAll(async () => {
  await whence(['down', '--delete-data']);
  fs.rmSync(path.dirname(dataDir), { recursive: true, force: true });
  expect([...started.values()].filter(isRunning)).toEqual([]);
});

describe.sequential('the local stack', () => {
  let addresses: Record<string, string>;
  let first: Runnable[];

  test('starts three real servers, in under 30 s, and prints nothing but what a shell evaluates', async () => {
    const began = Date.now();
    const { exitCode, stdout, stderr } = await whence(['up', ...PORT_OPTIONS, '--partitions=3', '--kafka-heap=256']);
    const took = Date.now() - began;
    expect(exitCode, stderr).toBe(0);
    // A machine that is busy with other tests takes as much longer as it has more to do than it has cores.
    const busy = Math.max(1, os.loadavg()[0] / os.availableParallelism());
    expect(took).toBeLessThan(30_000 * busy);
    expect(stdout.split('\n').map((line) => line.split('=')[0])).toEqual([
      'export DATABASE_URL',
      'export KAFKA_BROKERS',
      'export TEMPORAL_ADDRESS',
    ]);
    addresses = await evaluated(stdout);
    first = running();
    expect(stderr).toMatch(/Temporal's UI: http:\/\/127\.0\.0\.1:\d+/);
    const ui = await fetch(/http:\/\/\S+/.exec(stderr)?.[0] ?? '');
    expect(ui.ok).toBe(true);
  });

  test('answers on each address: a durable Postgres, topics with equal partitions, the namespace', async () => {
    const client = await openClient(addresses['databaseUrl'] ?? '', 'test');
    await client.query('create table kept (n int)');
    await client.query('insert into kept values (42)');
    const { rows } = await client.query("select current_setting('fsync') as fsync");
    expect(rows).toEqual([{ fsync: 'on' }]);
    await client.end();
    const kafka = createKafka({ brokers: [addresses['kafkaBrokers'] ?? ''], clientId: 'test', log: silentLogger() });
    const admin = kafka.admin();
    await admin.connect();
    const { topics } = await admin.fetchTopicMetadata({ topics: ['impressions', 'playback', 'whence.dlq'] });
    expect(topics.map(({ name, partitions }) => [name, partitions.length]).sort()).toEqual([
      ['impressions', 3],
      ['playback', 3],
      ['whence.dlq', 1],
    ]);
    await admin.disconnect();
    const temporal = await connectTemporal({ address: addresses['temporalAddress'] ?? '', namespace: 'default' });
    await temporal.close();
  });

  test('is found by a second up, which starts nothing and prints the same', async () => {
    const { stdout, stderr } = await whence(['up']);
    expect(await evaluated(stdout)).toEqual(addresses);
    expect(stderr).toMatch(/Kafka: runs on/);
    expect(running()).toEqual(first);
    const { stdout: json } = await whence(['up', '--json']);
    expect(JSON.parse(json)).toMatchObject({
      databaseUrl: addresses['databaseUrl'],
      kafkaBrokers: [addresses['kafkaBrokers']],
      temporalAddress: addresses['temporalAddress'],
      services: { kafka: { source: 'running', ...first[1] } },
    });
  });

  test('is found by any other command, which asks for what it needs', async () => {
    const said: string[] = [];
    const found = await resolveAddresses(settings(), ['postgres', 'kafka'], (line) => said.push(line));
    expect(found).toEqual({
      databaseUrl: addresses['databaseUrl'],
      kafka: { brokers: [addresses['kafkaBrokers']], tls: null, sasl: null },
    });
    expect(said).toHaveLength(2);
    const named = readSettings({ DATABASE_URL: 'postgres://db/whence', WHENCE_DATA_DIR: dataDir });
    const { databaseUrl } = await resolveAddresses(named, ['postgres'], () => {});
    expect(databaseUrl).toBe('postgres://db/whence');
  });

  test('with a part killed −9 and another that hangs, gets these two again, with their ports and data', async () => {
    process.kill(pidOf('postgres'), 'SIGKILL');
    process.kill(pidOf('temporal'), 'SIGSTOP');
    const { exitCode, stdout, stderr } = await whence(['up']);
    expect(exitCode, stderr).toBe(0);
    expect(stderr).toMatch(/Postgres: pid \d+ has ended; starting it again/);
    expect(stderr).toMatch(/Temporal: pid \d+ does not answer; starting it again/);
    expect(await evaluated(stdout)).toEqual(addresses);
    const [postgres, kafka, temporal] = running();
    expect(kafka).toEqual(first[1]);
    expect(postgres).not.toEqual(first[0]);
    expect(temporal).not.toEqual(first[2]);
    const client = await openClient(addresses['databaseUrl'] ?? '', 'test');
    expect((await client.query('select n from kept')).rows).toEqual([{ n: 42 }]);
    await client.end();
  });

  test('survives two ups at once', async () => {
    process.kill(pidOf('temporal'), 'SIGKILL');
    const both = await Promise.all([whence(['up']), whence(['up'])]);
    expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
    for (const { stdout } of both) expect(await evaluated(stdout)).toEqual(addresses);
    const restarts = both.filter(({ stderr }) => stderr.includes('Temporal: started on'));
    expect(restarts).toHaveLength(1);
  });

  test('uses a server that the environment names, and fails where that does not answer', async () => {
    const { stdout, stderr } = await whence(['up'], { DATABASE_URL: addresses['databaseUrl'] ?? '' });
    expect(stderr).toMatch(/Postgres: 127\.0\.0\.1:\d+, which DATABASE_URL names, answers/);
    expect(await evaluated(stdout)).toEqual(addresses);
    const failed = await whence(['up'], { DATABASE_URL: 'postgres://me:hunter22@127.0.0.1:1/whence' });
    expect(failed.exitCode).toBe(1);
    expect(failed.stdout).toBe('');
    expect(failed.stderr).toContain('PostgresUnavailableError: Postgres at 127.0.0.1:1 cannot be reached');
    expect(failed.stderr).not.toContain('hunter22');
  });

  test('ends with down, all of it, and nothing that merely has the pid of one that had ended', async () => {
    const before = Object.values(readStackState(dataDir)).map(({ runnable }) => runnable);
    expect(before).toHaveLength(3);
    const bystander = execa('sleep', ['60'], { reject: false });
    const file = path.join(dataDir, 'local', 'stack.json');
    const state = JSON.parse(fs.readFileSync(file, 'utf8')) as {
      services: Record<string, { runnable: { pid: number } }>;
    };
    const temporal = readStackState(dataDir).temporal?.runnable as Runnable & { pid: number };
    // As if Temporal had ended and its pid were another's now.
    const entry = Object.values(state.services).find(({ runnable }) => runnable.pid === temporal.pid);
    if (entry) entry.runnable.pid = bystander.pid ?? 0;
    fs.writeFileSync(file, JSON.stringify(state));
    const { exitCode, stderr } = await whence(['down']);
    expect(exitCode, stderr).toBe(0);
    expect(stderr).toContain(`pid ${bystander.pid} had ended already`);
    expect(before.filter(isRunning)).toEqual([temporal]);
    await sleep(50);
    expect(processIdentity(bystander.pid ?? 0)).not.toBeNull();
    bystander.kill();
    process.kill(temporal.pid, 'SIGKILL');
  });

  test('names a taken port and how to choose another, and then leaves nothing running', async () => {
    const server = net.createServer().listen(await freePort(), '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as net.AddressInfo;
    const options = PORT_OPTIONS.filter((option) => !option.startsWith('--kafka-port'));
    const { exitCode, stdout, stderr } = await whence(['up', ...options, `--kafka-port=${port}`]);
    server.close();
    expect(exitCode).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toContain(
      `PortTakenError: Port ${port} on 127.0.0.1, wanted for Kafka, is taken by another program`,
    );
    expect(stderr).toContain('--kafka-port');
    expect([...started.values()].filter(isRunning)).toEqual([]);
    expect(readStackState(dataDir)).toEqual({});
  });

  test('keeps its data through down and up, until they are deleted', async () => {
    const services = ['postgres'] as const;
    const stack = await startStack({ settings: settings(), services, ports: { postgres: 0 }, say: () => {} });
    const client = await openClient(stack.databaseUrl ?? '', 'test');
    expect((await client.query('select n from kept')).rows).toEqual([{ n: 42 }]);
    await client.end();
    await whence(['down', '--delete-data']);
    expect(fs.readdirSync(path.join(dataDir, 'local'))).toEqual([]);
    expect([...started.values()].filter(isRunning)).toEqual([]);
  });
});
