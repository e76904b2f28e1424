import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { COMMANDS } from '../../cli/commands.ts';
import { brokerProperties, toContainerEnvironment } from '../../local/kafka-properties.ts';
import { DEFAULT_PORTS } from '../../local/stack-parts.ts';
import { readSettings } from '../../platform/settings.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { importsOf, RULES } from '../boundaries.ts';
import { composeProblems, parseCompose, withDefaults, type Compose } from './compose.ts';

const at = (file: string) => new URL(`../../${file}`, import.meta.url);
const read = (file: string) => readFileSync(at(file), 'utf8');

const TEXT = read('docker-compose.yml');
const { services } = parseCompose(TEXT) as Compose;
const ours = Object.entries(services).filter(([, service]) => service.build !== undefined);
const environmentOf = (service: string) => services[service]?.environment ?? {};
const DOCKERFILE = read('Dockerfile');
const IGNORED = read('.dockerignore').split('\n');
const PAGE = read('docs/running-with-docker.md');

describe('docker-compose.yml', () => {
  test('fits the schema of Compose; images are pinned; commands, options and settings are ones of whence', async () => {
    expect(await composeProblems(TEXT)).toEqual([]);
    expect(ours.map(([name]) => name)).toEqual(['migrate', 'topics', 'stream', 'worker']);
  });

  test.each([
    ['a key that Compose does not know', 'restart: unless-stopped', 'restrat: unless-stopped', /additional properties/],
    ['no YAML', 'command: [worker]', 'command: [worker', /flow sequence/i],
    ['a word where a list belongs', 'cap_drop: [ALL]', 'cap_drop: ALL', /cap_drop must be array/],
    ['a condition that there is not', 'condition: service_healthy', 'condition: healthy', /must be equal to one of/],
    ['an image without a tag', 'image: apache/kafka:4.1.1', 'image: apache/kafka', /^kafka: .* not pinned/],
    ['a tag that moves', 'image: postgres:18.6-trixie', 'image: postgres:latest', /^postgres: .* not pinned/],
    ['an unknown command', 'command: [worker]', 'command: [wroker]', /^worker: whence has no command "wroker"/],
    [
      'an unknown option',
      'command: [stream]',
      'command: [stream, --fast]',
      /^stream: whence stream has no option --fast/,
    ],
    ['an unknown setting', 'KAFKA_BROKERS:', 'KAFKA_BROKER:', /^worker: whence has no setting KAFKA_BROKER$/m],
    ['a wrong setting', 'KAFKA_BROKERS: kafka:9092', 'KAFKA_BROKERS: kafka', /KAFKA_BROKERS: expected a comma/],
    ['another health check', 'node, /app/cli/whence.js, status', 'curl, localhost', /does not run/],
    [
      'a wait for the end of a server',
      'temporal: { condition: service_healthy',
      'temporal: { condition: service_completed_successfully',
      /waits for temporal to be service_completed/,
    ],
    [
      'a wait for what nobody checks',
      'migrate: { condition: service_completed_successfully',
      'migrate: { condition: service_healthy',
      /migrate has no health check/,
    ],
    ['an unknown service', 'topics: { condition', 'topcis: { condition', /^stream: depends on topcis/],
    ['an unknown volume', "'postgres:/var/lib", "'postgers:/var/lib", /^postgres: the volume postgers is not declared/],
  ])('a broken copy is rejected: %s', async (_, right, wrong, words) => {
    expect(TEXT).toContain(right);
    expect((await composeProblems(TEXT.replaceAll(right, wrong))).join('\n')).toMatch(words);
  });

  test('services of whence start again by themselves, but those that end', () => {
    for (const [name, { restart, stop_grace_period, healthcheck }] of ours) {
      const ends = name === 'migrate' || name === 'topics';
      expect({ name, restart }).toEqual({ name, restart: ends ? 'no' : 'unless-stopped' });
      if (!ends) expect([typeof stop_grace_period, typeof healthcheck]).toEqual(['string', 'object']);
    }
  });

  test('the addresses that whence is given are those of the servers', () => {
    const { DATABASE_URL, KAFKA_BROKERS, TEMPORAL_ADDRESS } = environmentOf('stream');
    const { POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB } = environmentOf('postgres');
    expect(DATABASE_URL).toBe(`postgres://${POSTGRES_USER}:${POSTGRES_PASSWORD}@postgres:5432/${POSTGRES_DB}`);
    expect(environmentOf('kafka')['KAFKA_ADVERTISED_LISTENERS']).toContain(`://${KAFKA_BROKERS},`);
    expect(TEMPORAL_ADDRESS).toBe('temporal:7233');
    expect(services['temporal']?.command).toContain('--port=7233');
  });

  test('a bucket that is set beside it is the storage of all of whence; none, and it is the volume', () => {
    const set: Record<string, string> = {
      WHENCE_STORAGE: 's3://bucket/whence',
      WHENCE_CACHE_SIZE: '5GB',
      WHENCE_S3_PATH_STYLE: 'false',
      AWS_ENDPOINT_URL: 'https://store.example',
      AWS_REGION: 'eu-west-1',
      AWS_ACCESS_KEY_ID: 'key',
      AWS_SECRET_ACCESS_KEY: 'secret',
      AWS_SESSION_TOKEN: 'token',
    };
    for (const [name] of ours) {
      const given = Object.entries(environmentOf(name));
      const filled = given.map(([variable, value]) => [
        variable,
        withDefaults(value.replaceAll(/\$\{(\w+):-/g, (text, asked: string) => `${set[asked] ?? ''}${text}`)),
      ]);
      expect(readSettings(Object.fromEntries(filled) as Record<string, string>).s3, name).toEqual({
        bucket: 'bucket',
        prefix: 'whence/',
        region: 'eu-west-1',
        endpoint: 'https://store.example',
        pathStyle: false,
        credentials: { accessKeyId: 'key', secretAccessKey: 'secret', sessionToken: 'token' },
        cacheBytes: 5_000_000_000,
      });
      const plain = given.map(([variable, value]) => [variable, withDefaults(value)]);
      expect(readSettings(Object.fromEntries(plain) as Record<string, string>).s3, name).toBeNull();
    }
  });

  test('ports are those of "whence up", and open to this machine only', () => {
    const ports = Object.values(services).flatMap((service) => (service.ports ?? []).map(withDefaults));
    const { postgres, kafka, temporal, temporalUi } = DEFAULT_PORTS;
    expect(ports.map((port) => port.replace(/:\d+$/, ''))).toEqual(
      [postgres, kafka, temporal, temporalUi].map((port) => `127.0.0.1:${port}`),
    );
    // A client is sent on to the address that is advertised.
    const advertised = withDefaults(environmentOf('kafka')['KAFKA_ADVERTISED_LISTENERS'] ?? '');
    expect(advertised).toContain(`HOST://127.0.0.1:${kafka}`);
  });

  test('Kafka is the one of "whence up", but for its listeners', () => {
    expect(read('local/kafka-container.ts')).toContain(`'${services['kafka']?.image}'`);
    const data = '/var/lib/kafka/data';
    const local = toContainerEnvironment(brokerProperties({ port: 9092, controllerPort: 9093, data }));
    const same = local.filter(([name]) => !/_LISTENERS$|_PROTOCOL_MAP$|_INTER_BROKER_LISTENER_NAME$/.test(name));
    expect(environmentOf('kafka')).toMatchObject(Object.fromEntries(same));
    expect(services['kafka']?.volumes).toEqual([`kafka:${data}`]);
  });
});

describe('Dockerfile', () => {
  test('runs as another than root, on a pinned Node that is new enough, the same in all stages', () => {
    const stages = [...DOCKERFILE.matchAll(/^FROM (\S+)/gm)].map(([, image]) => image);
    expect(stages).toEqual(['node:${NODE}', 'node:${NODE}-slim']);
    const minor = /^ARG NODE=20\.(\d+)\.\d+-bookworm$/m.exec(DOCKERFILE)?.[1];
    expect(packageJson.engines.node).toBe('>=20.19');
    expect(Number(minor)).toBeGreaterThanOrEqual(19);
    expect([...DOCKERFILE.matchAll(/^USER (\S+)/gm)].map(([, user]) => user)).toEqual(['1000:1000']);
  });

  test('its data folder is that of the volume and of the settings', () => {
    const folder = /WHENCE_DATA_DIR=(\S+)/.exec(DOCKERFILE)?.[1];
    for (const [name, { volumes }] of ours) {
      expect(environmentOf(name)['WHENCE_DATA_DIR']).toBe(folder);
      expect(volumes).toEqual([`data:${folder}`]);
    }
  });

  test('the image gets all folders of sources but those for tests, and nothing of this machine', () => {
    expect(Object.keys(RULES).filter((folder) => IGNORED.includes(folder))).toEqual(['test', 'bench']);
    for (const name of ['.*', 'node_modules']) expect(IGNORED).toContain(name);
    for (const file of ['package.json', 'package-lock.json', 'tsconfig.json']) expect(IGNORED).not.toContain(file);
  });

  test('"npm ci --omit=dev" installs every package that its sources import', () => {
    const folders = Object.keys(RULES).filter((folder) => !IGNORED.includes(folder) && existsSync(at(folder)));
    const files = folders.flatMap((folder) =>
      readdirSync(at(folder), { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.ts'))
        .map((file) => `${folder}/${file}`),
    );
    const packages = files
      .flatMap((file) => importsOf(read(file)))
      .filter(({ from, typesOnly }) => !typesOnly && !from.startsWith('.') && !from.startsWith('node:'))
      .map(({ from }) => /^(?:@[^/]+\/)?[^/]+/.exec(from)?.[0] ?? from);
    expect(new Set(packages).size).toBeGreaterThan(15);
    const installed = Object.keys(packageJson.dependencies);
    expect([...new Set(packages)].filter((name) => !installed.includes(name))).toEqual([]);
  });
});

describe('docs/running-with-docker.md', () => {
  test('names commands and services that there are', () => {
    const called = [...PAGE.matchAll(/npx whence ([a-z]+)/g)].map(([, name]) => name);
    const inside = [...PAGE.matchAll(/docker compose run --rm (\w+) (\w+)/g)];
    expect(called.length).toBeGreaterThan(3);
    expect(inside.length).toBeGreaterThan(1);
    const commands = COMMANDS.map(({ name }) => name);
    for (const name of [...called, ...inside.map(([, , name]) => name)]) expect(commands).toContain(name);
    for (const [, service] of inside) expect(Object.keys(services)).toContain(service);
  });

  test('its addresses and variables are those of docker-compose.yml', () => {
    const { postgres, kafka, temporal, temporalUi } = DEFAULT_PORTS;
    const url = withDefaults(environmentOf('stream')['DATABASE_URL'] ?? '');
    expect(PAGE).toContain(`DATABASE_URL=${url.replace('postgres:5432', `127.0.0.1:${postgres}`)}\n`);
    expect(PAGE).toContain(`KAFKA_BROKERS=127.0.0.1:${kafka}\n`);
    expect(PAGE).toContain(`TEMPORAL_ADDRESS=127.0.0.1:${temporal}\n`);
    expect(PAGE).toContain(`http://127.0.0.1:${temporalUi}`);
    for (const [, name] of TEXT.matchAll(/\$\{(\w+):-/g)) expect(PAGE).toContain(`\`${name}\``);
  });
});
