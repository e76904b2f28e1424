import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { execa } from 'execa';
import { DownloadError, ServiceStartError } from './errors.ts';
import { brokerProperties, toContainerEnvironment } from './kafkaProperties.ts';
import { docker } from './process.ts';
import { createService, type Service } from './service.ts';

const IMAGE = 'apache/kafka:4.1.1';
const CONTROLLER_PORT = 9093;
/** Declared as a volume by the image, and owned by its user. */
const DATA = '/var/lib/kafka/data';

/** Whether a Docker engine answers, not only a client that is installed. */
export async function dockerAnswers(): Promise<boolean> {
  const result = await execa('docker', ['info', '--format', '{{.ServerVersion}}'], { reject: false, timeout: 3_000 });
  return !result.failed && result.stdout.trim() !== '';
}

/**
 * Runs Kafka in a container, with its data in a volume named after `directory`.
 *
 * @throws DownloadError where the image cannot be pulled, ServiceStartError
 */
export async function startKafkaContainer(options: {
  directory: string;
  port: number;
  heapMb: number;
  clusterId: string;
  say: (line: string) => void;
}): Promise<Service> {
  const { directory, port } = options;
  const logFile = path.join(directory, 'kafka.log');
  await pull(options.say);
  // One of the same name was left behind by a start that was killed: same data, so it must go first.
  docker(['rm', '--force', kafkaVolume(directory)]);
  const properties = brokerProperties({ port, controllerPort: CONTROLLER_PORT, data: DATA, bindHost: '0.0.0.0' });
  const environment = [
    ...toContainerEnvironment(properties),
    ['CLUSTER_ID', options.clusterId],
    ['KAFKA_HEAP_OPTS', `-Xmx${options.heapMb}m`],
  ].flatMap(([name, value]) => ['--env', `${name}=${value}`]);
  const result = await execa(
    'docker',
    [
      'run',
      '--detach',
      `--name=${kafkaVolume(directory)}`,
      `--publish=127.0.0.1:${port}:${port}`,
      `--volume=${kafkaVolume(directory)}:${DATA}`,
      ...environment,
      IMAGE,
    ],
    { reject: false, all: true },
  );
  if (result.failed) {
    docker(['rm', '--force', kafkaVolume(directory)]);
    throw new ServiceStartError(
      'Kafka',
      'could not be started with Docker',
      logFile,
      result.all || result.message || '',
    );
  }
  const id = result.stdout.trim();
  // Ends with the container.
  const log = fs.openSync(logFile, 'w');
  spawn('docker', ['logs', '--follow', id], { stdio: ['ignore', log, log], detached: true }).unref();
  fs.closeSync(log);
  return createService('kafka', port, { kind: 'container', id }, logFile);
}

/** The name of the container and of its volume: one for each data folder. */
export function kafkaVolume(directory: string): string {
  return `whence-kafka-${createHash('sha256').update(path.resolve(directory)).digest('hex').slice(0, 12)}`;
}

async function pull(say: (line: string) => void): Promise<void> {
  if (docker(['image', 'inspect', '--format', '{{.Id}}', IMAGE]) !== null) return;
  say(`downloading the Docker image ${IMAGE}`);
  const result = await execa('docker', ['pull', '--quiet', IMAGE], { reject: false, all: true });
  if (result.failed) {
    const output = result.all || result.message || '';
    throw new DownloadError(`the image ${IMAGE}`, `docker pull ${IMAGE}`, output, 'check the network and the registry');
  }
}
