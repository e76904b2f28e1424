/** A real server of the S3 protocol for tests: versitygw, built with Go and kept in the cache. */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { execa } from 'execa';
import { cacheFolder, download, fetchOnce } from '../local/downloads.ts';
import { freePort } from '../local/ports.ts';

const VERSION = 'v1.8.0';
const NAME = `versitygw-${VERSION}`;
const PROGRAM = path.join(cacheFolder(), NAME, 'versitygw');
const ACCESS = 'tester';
const SECRET = 'tester-secret';

/** Builds the server where it is not there yet; nothing where Go is missing: then its tests are skipped. */
export async function fetchObjectStore(say: (line: string) => void): Promise<void> {
  if ((await execa('go', ['version'], { reject: false })).failed) {
    if (!hasObjectStore()) say('there is no Go to build an S3 server: tests on an object store are skipped');
    return;
  }
  await fetchOnce(
    NAME,
    (folder) =>
      download(
        NAME,
        'go',
        ['install', `github.com/versity/versitygw/cmd/versitygw@${VERSION}`],
        'check the network, and the module proxy that Go is set to use',
        { GOBIN: folder },
      ),
    say,
  );
}

export function hasObjectStore(): boolean {
  return fs.existsSync(PROGRAM);
}

export interface ObjectStore {
  /** What an environment needs to use a new bucket as its storage. */
  createBucket(name: string): Promise<Record<string, string>>;
  stop(): Promise<void>;
}

export async function startObjectStore(): Promise<ObjectStore> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'whence-s3-'));
  const folders = ['data', 'metadata'].map((name) => path.join(directory, name));
  for (const folder of folders) fs.mkdirSync(folder);
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const [data, metadata] = folders;
  const server = execa(
    PROGRAM,
    [
      '--port',
      `127.0.0.1:${port}`,
      '--access',
      ACCESS,
      '--secret',
      SECRET,
      '--quiet',
      'posix',
      '--sidecar',
      metadata,
      data,
    ],
    { reject: false, all: true, stdin: 'ignore' },
  );
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: ACCESS, secretAccessKey: SECRET },
  });
  for (const deadline = Date.now() + 30_000; ; await sleep(50)) {
    if (
      await fetch(endpoint).then(
        () => true,
        () => false,
      )
    )
      break;
    if (server.exitCode !== null || Date.now() > deadline) {
      server.kill('SIGKILL');
      throw new Error(`The object store did not start: ${(await server).all}`);
    }
  }
  return {
    async createBucket(name) {
      await client.send(new CreateBucketCommand({ Bucket: name }));
      return {
        WHENCE_STORAGE: `s3://${name}/some/where`,
        AWS_ENDPOINT_URL: endpoint,
        AWS_ACCESS_KEY_ID: ACCESS,
        AWS_SECRET_ACCESS_KEY: SECRET,
        AWS_REGION: 'us-east-1',
      };
    },
    async stop() {
      client.destroy();
      server.kill('SIGKILL');
      await server;
      fs.rmSync(directory, { recursive: true, force: true });
    },
  };
}
