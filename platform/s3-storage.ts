import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import fs from 'node:fs/promises';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Readable } from 'node:stream';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  paginateListObjectsV2,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { ObjectCache } from './object-cache.ts';
import {
  checkKey,
  DamagedObjectError,
  type LentObject,
  NoSuchObjectError,
  ObjectExistsError,
  type PutOptions,
  type Storage,
} from './storage.ts';

export interface S3Settings {
  bucket: string;
  /** What all keys begin with: "" or a text that ends with "/". */
  prefix: string;
  region: string;
  /** Of a store other than AWS. */
  endpoint: string | null;
  /** The bucket in the path of a URL, not in its host name. */
  pathStyle: boolean;
  /** Null: found by the SDK, in the profile, the container or the machine. */
  credentials: { accessKeyId: string; secretAccessKey: string; sessionToken?: string } | null;
  /** Where objects are kept while programs of this machine read them, and after. */
  cacheDirectory: string;
  cacheBytes: number;
}

/** A bucket that is missing, or that we may not use. */
export class BucketError extends Error {
  override readonly name = 'BucketError';
}

/** Larger objects are sent in parts of this size; they exist when all of them are there. */
const PART_BYTES = 16 * 1024 * 1024;
const TRIES = 8;
/** Of the metadata: which `put` made the object. */
const PUT_ID = 'whence-put';

/**
 * Opens the storage in a bucket of S3, or of a store that speaks its protocol. A put makes an object whole or not at all;
 * `ifAbsent` is a conditional put (`If-None-Match: *`), of which one wins.
 *
 * @throws BucketError
 */
export async function openS3Storage(settings: S3Settings): Promise<Storage> {
  const { bucket, prefix, endpoint } = settings;
  const client = new S3Client({
    region: settings.region,
    forcePathStyle: settings.pathStyle,
    maxAttempts: TRIES,
    // Stores that do not know the newer checksums refuse them.
    ...(endpoint !== null && {
      endpoint,
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
    }),
    ...(settings.credentials && { credentials: settings.credentials }),
  });
  const root = `s3://${bucket}/${prefix}`;
  const place = (key: string) => {
    checkKey(key);
    return { Bucket: bucket, Key: prefix + key };
  };
  const missing = (key: string) => (error: unknown) => {
    throw isMissing(error) ? new NoSuchObjectError(key, root) : error;
  };
  const head = (key: string) => client.send(new HeadObjectCommand(place(key)));
  const body = async (key: string) => {
    const { Body } = await client.send(new GetObjectCommand(place(key))).catch(missing(key));
    if (Body === undefined) throw new NoSuchObjectError(key, root);
    return Body;
  };

  const upload = async (key: string, content: () => Uint8Array | Readable, { ifAbsent = false }: PutOptions) => {
    const id = randomUUID();
    const params = { ...place(key), Metadata: { [PUT_ID]: id }, ...(ifAbsent && { IfNoneMatch: '*' }) };
    for (let left = TRIES; ; left--) {
      try {
        await new Upload({ client, partSize: PART_BYTES, queueSize: 2, params: { ...params, Body: content() } }).done();
        return;
      } catch (error) {
        const status = statusOf(error);
        // A conditional put met another that was under way.
        if (status === 409 && left > 1) continue;
        if (!ifAbsent || (status !== 412 && status !== 409)) throw error;
        // Of a put whose answer was lost, the second try finds the object of the first.
        if ((await head(key).catch(() => null))?.Metadata?.[PUT_ID] === id) return;
        throw new ObjectExistsError(key, root);
      }
    }
  };

  const fetch = async ({ key, sha256 }: LentObject, file: string) => {
    const hash = createHash('sha256');
    const hashing = new Transform({
      transform(chunk: Buffer, _, done) {
        hash.update(chunk);
        done(null, chunk);
      },
    });
    await pipeline((await body(key)) as Readable, hashing, createWriteStream(file, { flags: 'wx' }));
    const found = hash.digest('hex');
    if (sha256 !== undefined && found !== sha256) throw new DamagedObjectError(key, root, found, sha256);
  };

  await checkBucket(client, bucket, endpoint);
  const { cacheDirectory: directory, cacheBytes: maxBytes } = settings;
  const cache = await ObjectCache.open({ directory, maxBytes, fetch });
  return {
    locate: (key) => {
      checkKey(key);
      return root + key;
    },
    lend: () => cache.lend(),
    put: (key, data, options = {}) => upload(key, () => data, options),
    async putFile(key, file, options = {}) {
      checkKey(key);
      await upload(key, () => createReadStream(file), options);
      await fs.rm(file);
    },
    get: async (key) => Buffer.from(await (await body(key)).transformToByteArray()),
    async list(begin) {
      const folder = begin.slice(0, begin.lastIndexOf('/') + 1);
      if (folder !== '') checkKey(folder.slice(0, -1));
      const keys: string[] = [];
      for await (const page of paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: prefix + begin })) {
        keys.push(...(page.Contents ?? []).flatMap(({ Key }) => (Key === undefined ? [] : [Key.slice(prefix.length)])));
      }
      // Stores on a file system show folders, which are no objects of ours.
      return keys.filter((key) => key !== '' && !key.endsWith('/')).sort();
    },
    async delete(key) {
      await client.send(new DeleteObjectCommand(place(key))).catch((error: unknown) => {
        if (!isMissing(error)) throw error;
      });
    },
    async exists(key) {
      try {
        await head(key);
        return true;
      } catch (error) {
        if (isMissing(error)) return false;
        throw error;
      }
    },
    async size(key) {
      const { ContentLength } = await head(key).catch(missing(key));
      return ContentLength ?? 0;
    },
  };
}

/** @throws BucketError */
async function checkBucket(client: S3Client, bucket: string, endpoint: string | null): Promise<void> {
  const where = endpoint === null ? '' : ` at ${endpoint}`;
  try {
    // May be asked by whoever may list: what we need anyway.
    for await (const _ of paginateListObjectsV2({ client, pageSize: 1 }, { Bucket: bucket, MaxKeys: 1 })) break;
  } catch (error) {
    const why = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    const advice =
      statusOf(error) === 404
        ? 'create it, or correct WHENCE_STORAGE'
        : 'check WHENCE_STORAGE, AWS_ENDPOINT_URL, AWS_REGION and the credentials';
    throw new BucketError(`The bucket ${bucket}${where} cannot be used (${why}); ${advice}`, { cause: error });
  }
}

function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
}

function isMissing(error: unknown): boolean {
  return statusOf(error) === 404;
}
