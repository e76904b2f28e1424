import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { checkKafka, createKafka } from '../platform/kafka.ts';
import { silentLogger } from '../platform/log.ts';
import { MissingPrerequisiteError, ServiceStartError } from './errors.ts';
import { findJava, kafkaClassPath } from './java.ts';
import {
  dockerAnswers,
  keptRunner,
  startKafkaContainer,
  type KafkaPlace,
  type KafkaRunner,
} from './kafka-container.ts';
import { brokerProperties, toPropertiesFile } from './kafka-properties.ts';
import { claimPort, freePort } from './ports.ts';
import { spawnDetached } from './process.ts';
import { createService, waitUntilReady, type Service, type ServiceHandle, type StartOptions } from './service.ts';

const READY_BOUND_MS = 60_000;
const COORDINATOR_BOUND_MS = 10_000;
const DEFAULT_HEAP_MB = 512;

export interface KafkaStartOptions extends StartOptions {
  heapMb?: number;
  /** What runs it; by default a Docker engine where one answers, else Java. */
  runBy?: KafkaRunner;
}

export interface KafkaService extends Service {
  readonly brokers: readonly string[];
}

/**
 * Starts a real Kafka of one node (KRaft). Its data stay in `directory`, or in a Docker volume named after it.
 *
 * @throws PortTakenError, MissingPrerequisiteError (Maven, Python 3), DownloadError, ServiceStartError
 */
export async function startKafka(options: KafkaStartOptions): Promise<KafkaService> {
  const directory = path.resolve(options.directory);
  fs.mkdirSync(directory, { recursive: true });
  const port = await claimPort('Kafka', options.port, '--kafka-port');
  const heapMb = options.heapMb ?? DEFAULT_HEAP_MB;
  const runBy = options.runBy ?? keptRunner(directory) ?? ((await dockerAnswers()) ? 'docker' : 'java');
  fs.writeFileSync(path.join(directory, 'run-by'), runBy);
  const place = { directory, port, heapMb, clusterId: keptClusterId(directory), say: options.say };
  const brief = options.brief ?? false;
  const handle = await (runBy === 'docker' ? startKafkaContainer(place) : startKafkaJava(place, brief));
  options.onSpawn?.(handle);
  const service = attachKafka(handle);
  await waitUntilReady(service, READY_BOUND_MS);
  await loadGroupCoordinator(service);
  return service;
}

/**
 * Kafka makes and loads the topic of consumer groups when someone first asks for a group, and refuses consumers meanwhile;
 * so ask before they do.
 */
async function loadGroupCoordinator({ brokers }: KafkaService): Promise<void> {
  const admin = createKafka({ brokers, clientId: 'whence-up', log: silentLogger() }).admin();
  const deadline = Date.now() + COORDINATOR_BOUND_MS;
  try {
    await admin.connect();
    for (;;) {
      const error = await admin.fetchOffsets({ groupId: 'whence-up' }).catch((failure: Error) => failure);
      // Without it, a first consumer tries again by itself: no reason to fail.
      if (!(error instanceof Error) || Date.now() > deadline) return;
      await sleep(50);
    }
  } finally {
    await admin.disconnect();
  }
}

/** A Kafka that an earlier process started. */
export function attachKafka(handle: ServiceHandle): KafkaService {
  const brokers = [`127.0.0.1:${handle.port}`];
  return { ...createService('kafka', handle, () => answers(brokers)), brokers };
}

async function startKafkaJava(
  { directory, port, heapMb, clusterId, say }: KafkaPlace,
  brief: boolean,
): Promise<ServiceHandle> {
  const java = await findJava(say);
  const classPath = await kafkaClassPath(java, say);
  const logFile = path.join(directory, 'kafka.log');
  const configuration = path.join(directory, 'server.properties');
  const data = path.join(directory, 'data');
  // The controller's port is nobody else's business, so it may change from start to start.
  fs.writeFileSync(configuration, toPropertiesFile(brokerProperties({ port, controllerPort: await freePort(), data })));
  if (!fs.existsSync(path.join(data, 'meta.properties'))) {
    await format(java.executable, classPath, configuration, clusterId);
  }
  const runnable = await spawnDetached({
    command: java.executable,
    args: [...javaOptions(heapMb, brief), '-cp', classPath, 'kafka.Kafka', configuration],
    logFile,
    cwd: directory,
  }).catch((error: Error) => {
    throw new MissingPrerequisiteError('Java', 'a local Kafka', `it could not be run (${error.message})`);
  });
  return { runnable, port, logFile };
}

function javaOptions(heapMb: number, brief: boolean): string[] {
  return [
    `-Xms${Math.min(256, heapMb)}m`,
    `-Xmx${heapMb}m`,
    '-XX:+UseG1GC',
    // The second compiler takes more than it gives in a few minutes.
    ...(brief ? ['-XX:TieredStopAtLevel=1'] : []),
    '-XX:+ExitOnOutOfMemoryError',
    '-Djava.awt.headless=true',
    '-Dorg.slf4j.simpleLogger.showDateTime=true',
    '-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS',
  ];
}

async function format(java: string, classPath: string, configuration: string, clusterId: string): Promise<void> {
  const args = ['-Xmx128m', '-XX:TieredStopAtLevel=1', '-cp', classPath, 'kafka.tools.StorageTool', 'format'];
  const result = await execa(
    java,
    [...args, '--cluster-id', clusterId, '--config', configuration, '--ignore-formatted'],
    {
      all: true,
      reject: false,
    },
  );
  if (result.failed) {
    throw new ServiceStartError(
      'Kafka',
      'could not make its data folder',
      configuration,
      result.all || result.message || '',
    );
  }
}

async function answers(brokers: string[]): Promise<boolean> {
  await checkKafka({ brokers, clientId: 'whence-up', log: silentLogger(), retry: { retries: 0 } });
  return true;
}

function keptClusterId(directory: string): string {
  const file = path.join(directory, 'cluster-id');
  // A leading dash would look like an option.
  if (!fs.existsSync(file)) fs.writeFileSync(file, `w${randomBytes(16).toString('base64url').slice(1)}`);
  return fs.readFileSync(file, 'utf8').trim();
}
