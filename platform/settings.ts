import path from 'node:path';
import { z } from 'zod';
import { redactConnectionStrings } from './redact.ts';
import type { S3Settings } from './s3-storage.ts';
import * as read from './setting-readers.ts';

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

/** A topic by its name, or all topics whose name matches. Kafkajs takes both as they are. */
export type TopicSelector = string | RegExp;

/** Files of certificates, as absolute paths. An empty object is TLS with the system's certificate authorities. */
export interface TlsFiles {
  ca?: string;
  cert?: string;
  key?: string;
}

export interface SaslSettings {
  mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
  username: string;
  password: string;
}

/** As the README says under "How long things are kept". */
export interface KeepSettings {
  versions: number;
  attempts: number;
  datasets: number;
  speedPlays: number;
  grace: number;
}

/** Everything that whence takes from its environment, validated. An address that is null means: a local server. */
export interface Settings {
  databaseUrl: string | null;
  kafka: { brokers: string[] | null; tls: TlsFiles | null; sasl: SaslSettings | null };
  temporal: { address: string | null; namespace: string; apiKey: string | null; tls: TlsFiles | null };
  dataDir: string;
  /** The bucket that holds archive and datasets; null: they are in `dataDir`. */
  s3: Omit<S3Settings, 'cacheDirectory'> | null;
  policyFile: string | null;
  impressionTopics: TopicSelector[];
  playbackTopics: TopicSelector[];
  /** A task of the speed layer writes a checkpoint this often. */
  checkpointSeconds: number;
  dlqTopic: string;
  taskQueue: string;
  /** For how long things of the batch layer are kept, in milliseconds; Infinity: for good. */
  keep: KeepSettings;
  /** Where metrics and health are served; null where they are not. */
  metricsPort: number | null;
  logLevel: LogLevel;
}

export interface SettingProblem {
  name: string;
  /** What the variable held, or null where it must not be shown. */
  found: string | null;
  expected: string;
}

/** The environment is wrong. `problems` and the message list everything at once, and never hold a secret. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
  readonly problems: readonly SettingProblem[];

  constructor(problems: readonly SettingProblem[]) {
    const lines = problems.map(
      ({ name, found, expected }) => `  ${name}: expected ${expected}${found === null ? '' : `; found ${found}`}`,
    );
    super(`${problems.length === 1 ? 'A setting is' : `${problems.length} settings are`} wrong:\n${lines.join('\n')}`);
    this.problems = problems;
  }
}

const environment = z.object({
  DATABASE_URL: read.databaseUrl,
  PGSSLROOTCERT: read.file,
  KAFKA_BROKERS: read.addressList,
  KAFKA_SSL: read.flag,
  KAFKA_SSL_CA: read.file,
  KAFKA_SSL_CERT: read.file,
  KAFKA_SSL_KEY: read.file,
  KAFKA_SASL_MECHANISM: read.choice('plain', 'scram-sha-256', 'scram-sha-512'),
  KAFKA_SASL_USERNAME: read.text,
  KAFKA_SASL_PASSWORD: read.text,
  TEMPORAL_ADDRESS: read.address,
  TEMPORAL_NAMESPACE: read.text,
  TEMPORAL_API_KEY: read.text,
  TEMPORAL_TLS: read.flag,
  TEMPORAL_TLS_CA: read.file,
  TEMPORAL_TLS_CERT: read.file,
  TEMPORAL_TLS_KEY: read.file,
  WHENCE_DATA_DIR: read.text,
  WHENCE_STORAGE: read.bucketUrl,
  WHENCE_CACHE_SIZE: read.size,
  WHENCE_S3_PATH_STYLE: read.flag,
  AWS_ENDPOINT_URL: read.httpUrl,
  AWS_ENDPOINT_URL_S3: read.httpUrl,
  AWS_REGION: read.text,
  AWS_DEFAULT_REGION: read.text,
  AWS_ACCESS_KEY_ID: read.text,
  AWS_SECRET_ACCESS_KEY: read.text,
  AWS_SESSION_TOKEN: read.text,
  WHENCE_POLICY: read.file,
  WHENCE_IMPRESSION_TOPICS: read.topicSelectors,
  WHENCE_PLAYBACK_TOPICS: read.topicSelectors,
  WHENCE_DLQ_TOPIC: read.topic,
  WHENCE_CHECKPOINT_SECONDS: read.count,
  WHENCE_TASK_QUEUE: read.text,
  WHENCE_KEEP_VERSIONS: read.age(1, { forGood: true }),
  WHENCE_KEEP_ATTEMPTS: read.age(1, { forGood: true }),
  WHENCE_KEEP_DATASETS: read.age(24, { forGood: true }),
  WHENCE_KEEP_SPEED_PLAYS: read.age(24, { forGood: true }),
  // A unit of work may take six hours.
  WHENCE_KEEP_REMOVED: read.age(7, { forGood: false }),
  WHENCE_METRICS_PORT: read.port,
  WHENCE_LOG_LEVEL: read.choice('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
});
type Environment = z.output<typeof environment>;

const SECRET_NAMES = new Set([
  'KAFKA_SASL_PASSWORD',
  'TEMPORAL_API_KEY',
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
]);

/**
 * Reads and validates the whole environment (DESIGN §9). A variable that is set to nothing counts as not set. Paths are
 * resolved against the working directory, and the files named must be readable.
 *
 * @throws SettingsError which lists every problem at once, without the value of any secret
 */
export function readSettings(env: NodeJS.ProcessEnv): Settings {
  const given: Record<string, string> = Object.fromEntries(
    Object.keys(environment.shape)
      // Who keeps everything in a folder may have the variables of AWS for other programs.
      .filter((name) => !name.startsWith('AWS_') || env['WHENCE_STORAGE']?.trim())
      .flatMap((name) => (env[name]?.trim() ? [[name, env[name].trim()]] : [])),
  );
  const parsed = environment.safeParse(given);
  const problems: SettingProblem[] = (parsed.error?.issues ?? []).map((issue) => {
    const name = String(issue.path[0]);
    return { name, found: shown(name, given[name]), expected: issue.message };
  });
  problems.push(...problemsBetween(given));
  if (!parsed.success || problems.length > 0) throw new SettingsError(problems);
  return assemble(parsed.data);
}

function assemble(env: Environment): Settings {
  const kafkaTls = tlsFiles(env.KAFKA_SSL, env.KAFKA_SSL_CA, env.KAFKA_SSL_CERT, env.KAFKA_SSL_KEY);
  const temporalTls = tlsFiles(env.TEMPORAL_TLS, env.TEMPORAL_TLS_CA, env.TEMPORAL_TLS_CERT, env.TEMPORAL_TLS_KEY);
  const apiKey = env.TEMPORAL_API_KEY ?? null;
  return {
    databaseUrl: env.DATABASE_URL === undefined ? null : withRootCertificate(env.DATABASE_URL, env.PGSSLROOTCERT),
    kafka: { brokers: env.KAFKA_BROKERS ?? null, tls: kafkaTls, sasl: sasl(env) },
    temporal: {
      address: env.TEMPORAL_ADDRESS ?? null,
      namespace: env.TEMPORAL_NAMESPACE ?? 'default',
      apiKey,
      // An API key never travels in the clear unless someone says so.
      tls: temporalTls ?? (apiKey !== null && env.TEMPORAL_TLS !== false ? {} : null),
    },
    dataDir: path.resolve(env.WHENCE_DATA_DIR ?? '.whence'),
    s3: s3(env),
    policyFile: env.WHENCE_POLICY ?? null,
    impressionTopics: env.WHENCE_IMPRESSION_TOPICS ?? ['impressions'],
    playbackTopics: env.WHENCE_PLAYBACK_TOPICS ?? ['playback'],
    checkpointSeconds: env.WHENCE_CHECKPOINT_SECONDS ?? 60,
    dlqTopic: env.WHENCE_DLQ_TOPIC ?? 'whence.dlq',
    taskQueue: env.WHENCE_TASK_QUEUE ?? 'whence-batch',
    keep: keep(env),
    metricsPort: env.WHENCE_METRICS_PORT ?? null,
    logLevel: env.WHENCE_LOG_LEVEL ?? 'info',
  };
}

/** What holds credentials: all settings, or the addresses that a command uses. */
export interface HoldsSecrets {
  databaseUrl?: string | null;
  kafka?: { sasl: SaslSettings | null };
  temporal?: { apiKey: string | null };
  s3?: Settings['s3'];
}

/** The values that must never be seen in a log: for `createLogger`. */
export function secretsOf({ databaseUrl, kafka, temporal, s3 }: HoldsSecrets): string[] {
  const secrets = [
    ...databasePasswords(databaseUrl ?? null),
    kafka?.sasl?.password,
    temporal?.apiKey,
    s3?.credentials?.secretAccessKey,
    s3?.credentials?.sessionToken,
  ];
  return secrets.filter((secret) => typeof secret === 'string');
}

/** The password as it stands in the URL and as it is. */
function databasePasswords(databaseUrl: string | null): string[] {
  const url = databaseUrl === null ? null : new URL(databaseUrl.replace('@/', '@localhost/'));
  // A password equal to the user name (postgres:postgres) protects nothing, and hiding it would hide every mention of the
  // user; where it stands in a connection string it goes all the same.
  if (url === null || url.password === '' || url.password === url.username) return [];
  try {
    return [url.password, decodeURIComponent(url.password)];
  } catch {
    // A "%" that encodes nothing; node-postgres takes it as it is.
    return [url.password];
  }
}

/** Problems that no variable has by itself. */
function problemsBetween(env: Record<string, string | undefined>): SettingProblem[] {
  const problems: SettingProblem[] = [];
  const need = (name: string, because: string) => {
    if (env[name] === undefined) problems.push({ name, found: 'nothing', expected: `a value, because ${because}` });
  };
  if (env['KAFKA_SASL_MECHANISM'] !== undefined) {
    need('KAFKA_SASL_USERNAME', 'KAFKA_SASL_MECHANISM is set');
    need('KAFKA_SASL_PASSWORD', 'KAFKA_SASL_MECHANISM is set');
  } else if (env['KAFKA_SASL_USERNAME'] !== undefined || env['KAFKA_SASL_PASSWORD'] !== undefined) {
    need('KAFKA_SASL_MECHANISM', 'KAFKA_SASL_USERNAME or KAFKA_SASL_PASSWORD is set');
  }
  for (const prefix of ['KAFKA_SSL', 'TEMPORAL_TLS']) {
    if (env[`${prefix}_CERT`] !== undefined) need(`${prefix}_KEY`, `${prefix}_CERT is set`);
    if (env[`${prefix}_KEY`] !== undefined) need(`${prefix}_CERT`, `${prefix}_KEY is set`);
  }
  if (env['WHENCE_STORAGE'] !== undefined) {
    if (env['AWS_ACCESS_KEY_ID'] !== undefined) need('AWS_SECRET_ACCESS_KEY', 'AWS_ACCESS_KEY_ID is set');
    if (env['AWS_SECRET_ACCESS_KEY'] !== undefined) need('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY is set');
    const known = ['AWS_DEFAULT_REGION', 'AWS_ENDPOINT_URL', 'AWS_ENDPOINT_URL_S3'].some(
      (name) => env[name] !== undefined,
    );
    if (!known)
      need('AWS_REGION', 'WHENCE_STORAGE is a bucket of AWS (of another store, AWS_ENDPOINT_URL is to be set)');
  }
  return problems;
}

const DAY = 86_400_000;

function keep(env: Environment): KeepSettings {
  return {
    versions: env.WHENCE_KEEP_VERSIONS ?? 30 * DAY,
    attempts: env.WHENCE_KEEP_ATTEMPTS ?? DAY,
    datasets: env.WHENCE_KEEP_DATASETS ?? Infinity,
    speedPlays: env.WHENCE_KEEP_SPEED_PLAYS ?? 7 * DAY,
    grace: env.WHENCE_KEEP_REMOVED ?? DAY,
  };
}

const CACHE_BYTES = 20_000_000_000;

function s3(env: Environment): Settings['s3'] {
  if (env.WHENCE_STORAGE === undefined) return null;
  const {
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_SESSION_TOKEN: sessionToken,
  } = env;
  const endpoint = env.AWS_ENDPOINT_URL_S3 ?? env.AWS_ENDPOINT_URL ?? null;
  return {
    ...env.WHENCE_STORAGE,
    // A store of one's own has no regions, but signatures name one.
    region: env.AWS_REGION ?? env.AWS_DEFAULT_REGION ?? 'us-east-1',
    endpoint,
    pathStyle: env.WHENCE_S3_PATH_STYLE ?? endpoint !== null,
    credentials:
      accessKeyId === undefined || secretAccessKey === undefined
        ? null
        : { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) },
    cacheBytes: env.WHENCE_CACHE_SIZE ?? CACHE_BYTES,
  };
}

function sasl(env: Environment): SaslSettings | null {
  const { KAFKA_SASL_MECHANISM: mechanism, KAFKA_SASL_USERNAME: username, KAFKA_SASL_PASSWORD: password } = env;
  if (mechanism === undefined || username === undefined || password === undefined) return null;
  return { mechanism, username, password };
}

function tlsFiles(on: boolean | undefined, ca?: string, cert?: string, key?: string): TlsFiles | null {
  if (on === false) return null;
  if (on === undefined && ca === undefined && cert === undefined) return null;
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
}

/** node-postgres reads `sslrootcert` from the URL but not PGSSLROOTCERT from the environment, which libpq's users expect. */
function withRootCertificate(databaseUrl: string, rootCertificate: string | undefined): string {
  if (rootCertificate === undefined || !/[?&]sslmode=(require|verify-ca|verify-full|prefer)\b/.test(databaseUrl)) {
    return databaseUrl;
  }
  if (/[?&]sslrootcert=/.test(databaseUrl)) return databaseUrl;
  return `${databaseUrl}&sslrootcert=${encodeURIComponent(rootCertificate)}`;
}

function shown(name: string, value: string | undefined): string | null {
  if (value === undefined || SECRET_NAMES.has(name)) return null;
  // What is no URL could have its password anywhere.
  if (name === 'DATABASE_URL' && !/^[a-z]+:\/\//i.test(value)) return null;
  return JSON.stringify(redactConnectionStrings(value));
}
