import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { execa } from 'execa';
import { checkKafka } from '../platform/kafka.ts';
import { silentLogger } from '../platform/log.ts';
import { MissingPrerequisiteError, ServiceStartError } from './errors.ts';
import { findJava, kafkaClassPath } from './java.ts';
import { dockerAnswers, startKafkaContainer } from './kafkaContainer.ts';
import { brokerProperties, toPropertiesFile } from './kafkaProperties.ts';
import { claimPort, freePort } from './ports.ts';
import { spawnDetached } from './process.ts';
import { createService, waitUntilReady, type Service, type StartOptions } from './service.ts';

const READY_BOUND_MS = 60_000;
const DEFAULT_HEAP_MB = 512;

export interface KafkaStartOptions extends StartOptions {
  heapMb?: number;
  /** What runs it; by default a Docker engine where one answers, else Java. */
  runBy?: 'docker' | 'java';
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
  const service =
    runBy === 'docker'
      ? await startKafkaContainer({ directory, port, heapMb, clusterId: keptClusterId(directory), say: options.say })
      : await startKafkaJava({ directory, port, heapMb, say: options.say });
  options.onSpawn?.(service.runnable);
  const brokers = [`127.0.0.1:${port}`];
  await waitUntilReady(service, () => answers(brokers), READY_BOUND_MS);
  return { ...service, brokers };
}

async function startKafkaJava(options: {
  directory: string;
  port: number;
  heapMb: number;
  say: (line: string) => void;
}): Promise<Service> {
  const { directory, port } = options;
  const java = await findJava(options.say);
  const classPath = await kafkaClassPath(java, options.say);
  const logFile = path.join(directory, 'kafka.log');
  const configuration = path.join(directory, 'server.properties');
  const data = path.join(directory, 'data');
  // The controller's port is nobody else's business, so it may change from start to start.
  fs.writeFileSync(configuration, toPropertiesFile(brokerProperties({ port, controllerPort: await freePort(), data })));
  if (!fs.existsSync(path.join(data, 'meta.properties'))) {
    await format(java.executable, classPath, configuration, keptClusterId(directory));
  }
  const runnable = await spawnDetached({
    command: java.executable,
    args: [...javaOptions(options.heapMb), '-cp', classPath, 'kafka.Kafka', configuration],
    logFile,
    cwd: directory,
  }).catch((error: Error) => {
    throw new MissingPrerequisiteError('Java', 'a local Kafka', `it could not be run (${error.message})`);
  });
  return createService('kafka', port, runnable, logFile);
}

function javaOptions(heapMb: number): string[] {
  return [
    `-Xms${Math.min(256, heapMb)}m`,
    `-Xmx${heapMb}m`,
    '-XX:+UseG1GC',
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

/** Data made in a container are in a volume: a later start must find them where they are. */
function keptRunner(directory: string): 'docker' | 'java' | null {
  const file = path.join(directory, 'run-by');
  const kept = fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trim() : '';
  return kept === 'docker' || kept === 'java' ? kept : null;
}

function keptClusterId(directory: string): string {
  const file = path.join(directory, 'cluster-id');
  // A leading dash would look like an option.
  if (!fs.existsSync(file)) fs.writeFileSync(file, `w${randomBytes(16).toString('base64url').slice(1)}`);
  return fs.readFileSync(file, 'utf8').trim();
}
