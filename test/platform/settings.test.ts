import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readSettings, secretsOf, SettingsError } from '../../platform/settings.ts';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'whence-settings-'));
const certificate = path.join(folder, 'ca.pem');
fs.writeFileSync(certificate, 'a certificate');
afterAll(() => fs.rmSync(folder, { recursive: true }));

function problemsOf(env: NodeJS.ProcessEnv): SettingsError {
  try {
    readSettings(env);
  } catch (error) {
    if (error instanceof SettingsError) return error;
    throw error;
  }
  throw new Error('These settings were accepted');
}

describe('the settings', () => {
  test('of an empty environment are the documented defaults, with local servers', () => {
    expect(readSettings({})).toEqual({
      checkpointSeconds: 60,
      keep: {
        versions: 30 * 86_400_000,
        attempts: 86_400_000,
        datasets: Infinity,
        speedPlays: 7 * 86_400_000,
        grace: 86_400_000,
      },
      databaseUrl: null,
      kafka: { brokers: null, tls: null, sasl: null },
      temporal: { address: null, namespace: 'default', apiKey: null, tls: null },
      dataDir: path.resolve('.whence'),
      s3: null,
      policyFile: null,
      impressionTopics: ['impressions'],
      playbackTopics: ['playback'],
      dlqTopic: 'whence.dlq',
      taskQueue: 'whence-batch',
      logLevel: 'info',
      metricsPort: null,
    });
  });

  test('name a bucket: of AWS by its region, of another store by its address', () => {
    const keys = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'a-secret' };
    expect(readSettings({ WHENCE_STORAGE: 's3://plays', AWS_DEFAULT_REGION: 'eu-west-1' }).s3).toEqual({
      bucket: 'plays',
      prefix: '',
      region: 'eu-west-1',
      endpoint: null,
      pathStyle: false,
      credentials: null,
      cacheBytes: 20e9,
    });
    const store = {
      WHENCE_STORAGE: 's3://plays/a/b',
      AWS_ENDPOINT_URL: 'http://store:9000',
      WHENCE_CACHE_SIZE: '1.5 GB',
    };
    const { s3 } = readSettings({ ...store, ...keys });
    expect(s3).toMatchObject({ prefix: 'a/b/', endpoint: 'http://store:9000', pathStyle: true, cacheBytes: 1.5e9 });
    expect(secretsOf({ s3 })).toEqual(['a-secret']);
    expect(readSettings({ ...store, WHENCE_S3_PATH_STYLE: 'false' }).s3?.pathStyle).toBe(false);
  });

  test('say all that is wrong with a bucket at once, and nothing of variables that are for other programs', () => {
    const { problems } = problemsOf({
      WHENCE_STORAGE: 'gs://plays',
      WHENCE_CACHE_SIZE: 'much',
      AWS_SECRET_ACCESS_KEY: 'a-secret',
    });
    expect(problems.map(({ name }) => name).sort()).toEqual([
      'AWS_ACCESS_KEY_ID',
      'AWS_REGION',
      'WHENCE_CACHE_SIZE',
      'WHENCE_STORAGE',
    ]);
    expect(JSON.stringify(problems)).not.toContain('a-secret');
    expect(readSettings({ AWS_ENDPOINT_URL: 'somewhere', AWS_ACCESS_KEY_ID: 'id' }).s3).toBeNull();
  });

  test('say for how long things are kept, in hours, days, or for good; nothing is deleted while somebody may read it', () => {
    const given = { WHENCE_KEEP_VERSIONS: '36h', WHENCE_KEEP_SPEED_PLAYS: 'forever', WHENCE_KEEP_REMOVED: '2 d' };
    expect(readSettings(given).keep).toMatchObject({
      versions: 36 * 3_600_000,
      speedPlays: Infinity,
      grace: 2 * 86_400_000,
    });
    const wrong = { WHENCE_KEEP_DATASETS: '12h', WHENCE_KEEP_REMOVED: 'forever', WHENCE_KEEP_ATTEMPTS: 'a week' };
    expect(problemsOf(wrong).message).toBe(
      [
        '3 settings are wrong:',
        '  WHENCE_KEEP_ATTEMPTS: expected a time such as 12h or 30d, at least 1h, or "forever"; found "a week"',
        '  WHENCE_KEEP_DATASETS: expected a time such as 12h or 30d, at least 1d, or "forever"; found "12h"',
        '  WHENCE_KEEP_REMOVED: expected a time such as 12h or 30d, at least 7h; found "forever"',
      ].join('\n'),
    );
  });

  test('treat a variable that is set to nothing as not set', () => {
    expect(readSettings({ KAFKA_BROKERS: ' ', DATABASE_URL: '' })).toEqual(readSettings({}));
  });

  test('are all reported at once when wrong, each with its name, what was there and what is expected', () => {
    const error = problemsOf({
      DATABASE_URL: 'mysql://me:hunter22@db/whence',
      KAFKA_BROKERS: 'one:9092,two',
      KAFKA_SSL: 'perhaps',
      KAFKA_SASL_MECHANISM: 'kerberos',
      TEMPORAL_ADDRESS: 'temporal:99999',
      TEMPORAL_TLS_CA: '/nowhere/ca.pem',
      WHENCE_PLAYBACK_TOPICS: 'a b',
      WHENCE_LOG_LEVEL: 'chatty',
    });
    expect(error.problems.map(({ name }) => name).sort()).toEqual([
      'DATABASE_URL',
      'KAFKA_BROKERS',
      'KAFKA_SASL_MECHANISM',
      'KAFKA_SASL_PASSWORD',
      'KAFKA_SASL_USERNAME',
      'KAFKA_SSL',
      'TEMPORAL_ADDRESS',
      'TEMPORAL_TLS_CA',
      'WHENCE_LOG_LEVEL',
      'WHENCE_PLAYBACK_TOPICS',
    ]);
    expect(error.message).toContain(
      'KAFKA_BROKERS: expected a comma-separated list of host:port; found "one:9092,two"',
    );
    expect(error.message).toContain('WHENCE_LOG_LEVEL: expected one of fatal, error, warn');
  });

  test.each([
    ['DATABASE_URL', 'mysql://me:hunter22@db/whence'],
    ['DATABASE_URL', 'me:hunter22@db/whence'],
    ['KAFKA_SASL_PASSWORD', 'hunter22'],
  ])('never show a secret in an error: %s', (name, value) => {
    expect(problemsOf({ [name]: value }).message).not.toContain('hunter22');
  });

  test('take topics by name and by pattern, with commas inside a pattern', () => {
    const { impressionTopics } = readSettings({ WHENCE_IMPRESSION_TOPICS: 'impressions, /^eu\\.imp{1,2}/i,b' });
    expect(impressionTopics).toEqual(['impressions', /^eu\.imp{1,2}/i, 'b']);
  });

  test('turn TLS on by KAFKA_SSL alone, by a certificate, and for a Temporal API key', () => {
    expect(readSettings({ KAFKA_SSL: 'true' }).kafka.tls).toEqual({});
    expect(readSettings({ KAFKA_SSL_CA: certificate }).kafka.tls).toEqual({ ca: certificate });
    expect(readSettings({ TEMPORAL_API_KEY: 'k' }).temporal.tls).toEqual({});
    expect(readSettings({ TEMPORAL_API_KEY: 'k', TEMPORAL_TLS: 'false' }).temporal.tls).toBeNull();
    expect(problemsOf({ KAFKA_SSL_CERT: certificate }).message).toContain('KAFKA_SSL_KEY: expected a value');
  });

  test('hand PGSSLROOTCERT to node-postgres, which does not read it', () => {
    const env = { DATABASE_URL: 'postgres://db/whence?sslmode=verify-full', PGSSLROOTCERT: certificate };
    expect(readSettings(env).databaseUrl).toBe(
      `postgres://db/whence?sslmode=verify-full&sslrootcert=${encodeURIComponent(certificate)}`,
    );
  });

  test('know their secrets, as they are and as a URL writes them', () => {
    const settings = readSettings({
      DATABASE_URL: 'postgres://me:p%40ssword@db/whence',
      KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512',
      KAFKA_SASL_USERNAME: 'me',
      KAFKA_SASL_PASSWORD: 'sasl-secret',
      TEMPORAL_API_KEY: 'api-key',
    });
    expect(secretsOf(settings)).toEqual(['p%40ssword', 'p@ssword', 'sasl-secret', 'api-key']);
    expect(secretsOf(readSettings({ DATABASE_URL: 'postgres://me:100%@db/whence' }))).toEqual(['100%']);
  });
});
