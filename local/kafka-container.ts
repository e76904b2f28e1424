import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { execa } from 'execa';
import { DownloadError, ServiceStartError } from './errors.ts';
import { brokerProperties, toContainerEnvironment } from './kafka-properties.ts';
import { docker } from './process.ts';
import type { ServiceHandle } from './service.ts';

const IMAGE = 'apache/kafka:4.1.1';
const CONTROLLER_PORT = 9093;
/** Declared as a volume by the image, and owned by its user. */
const DATA = '/var/lib/kafka/data';

export type KafkaRunner = 'docker' | 'java';

/** What a Kafka needs, whoever runs it. */
export interface KafkaPlace {
  directory: string;
  port: number;
  heapMb: number;
  clusterId: string;
  say: (line: string) => void;
}

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
export async function startKafkaContainer(place: KafkaPlace): Promise<ServiceHandle> {
  const { directory, port } = place;
  const logFile = path.join(directory, 'kafka.log');
  await pullKafka(place.say);
  // One of the same name was left behind by a start that was killed: same data, so it must go first.
  docker(['rm', '--force', kafkaName(directory)]);
  const properties = brokerProperties({ port, controllerPort: CONTROLLER_PORT, data: DATA, bindHost: '0.0.0.0' });
  const environment = [
    ...toContainerEnvironment(properties),
    ['CLUSTER_ID', place.clusterId],
    ['KAFKA_HEAP_OPTS', `-Xmx${place.heapMb}m`],
  ].flatMap(([name, value]) => ['--env', `${name}=${value}`]);
  const result = await execa(
    'docker',
    [
      'run',
      '--detach',
      `--name=${kafkaName(directory)}`,
      `--publish=127.0.0.1:${port}:${port}`,
      `--volume=${kafkaName(directory)}:${DATA}`,
      ...environment,
      IMAGE,
    ],
    { reject: false, all: true },
  );
  if (result.failed) {
    docker(['rm', '--force', kafkaName(directory)]);
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
  return { runnable: { kind: 'container', id, volume: kafkaName(directory) }, port, logFile };
}

/** The name of the container and of its volume: one for each data folder. */
function kafkaName(directory: string): string {
  return `whence-kafka-${createHash('sha256').update(path.resolve(directory)).digest('hex').slice(0, 12)}`;
}

/** Deletes the data of the Kafka in this folder, if a container kept them. */
export function removeKafkaVolume(directory: string): void {
  if (keptRunner(directory) === 'docker') docker(['volume', 'rm', '--force', kafkaName(directory)]);
}

/** Data made in a container are in a volume: a later start must find them where they are. */
export function keptRunner(directory: string): KafkaRunner | null {
  const file = path.join(directory, 'run-by');
  const kept = fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trim() : '';
  return kept === 'docker' || kept === 'java' ? kept : null;
}

/** @throws DownloadError where the image is not there and cannot be pulled */
export async function pullKafka(say: (line: string) => void): Promise<void> {
  if (docker(['image', 'inspect', '--format', '{{.Id}}', IMAGE]) !== null) return;
  say(`downloading the Docker image ${IMAGE}`);
  const result = await execa('docker', ['pull', '--quiet', IMAGE], { reject: false, all: true });
  if (result.failed) {
    const output = result.all || result.message || '';
    throw new DownloadError(`the image ${IMAGE}`, `docker pull ${IMAGE}`, output, 'check the network and the registry');
  }
}
