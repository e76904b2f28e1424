import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { inflateRaw } from 'node:zlib';
import { compress, decompress } from 'zstd-napi';
import type { OlderStrings } from '../attribution/facts/older-records.ts';
import type { SavedMarks } from './replay-marks.ts';

/**
 * Of every object of a checkpoint: magic, version (4 bytes, little end first), SHA-256 of the rest, and the rest,
 * compressed. What the rest means is the version's; these 40 bytes are the same in all.
 */
const MAGIC = Buffer.from('WHCP');
const HASH_AT = 8;
const BODY_AT = HASH_AT + 32;
/** The version that is written. */
export const CHECKPOINT_VERSION = 5;
/** Fast: most of the bytes are random ids. */
const LEVEL = 1;

const inflate = promisify(inflateRaw);

/** A checkpoint cannot be read, and never will be. */
export class BadCheckpointError extends Error {
  override readonly name = 'BadCheckpointError';
}

/** A checkpoint is whole, but of another time: other topics, another policy, other offsets. */
export class UnusableCheckpointError extends Error {
  override readonly name = 'UnusableCheckpointError';
}

/** What is read first of a checkpoint: all of it but the records. */
export interface CheckpointHead {
  policy: string;
  topics: readonly string[];
  /** By topic: the next offset, and the log's clock there (null before any). */
  next: number[];
  clocks: (number | null)[];
  marks: SavedMarks;
  chunks: SavedChunk[];
  /** Of the dictionaries, up to version 3. */
  places?: OlderStrings;
  labels?: OlderStrings;
}

export interface SavedChunk {
  serial: number;
  begunAt: number;
  records: number;
  shadowed: readonly number[];
  segments: SavedSegment[];
}

export interface SavedSegment {
  key: string;
  records: number;
  /** As stored. */
  bytes: number;
  sha256: string;
}

/** What reads a version: of a newer program, those that older ones wrote. */
export interface CheckpointFormat {
  decompress(body: Buffer): Buffer | Promise<Buffer>;
  parseHead(body: Buffer): CheckpointHead;
  /** Its records are to be converted. */
  otherRecords: boolean;
  /** No copy of one of its records can be compared by its payload's checksum. */
  otherChecksums: boolean;
}

const parseHead = (body: Buffer) => JSON.parse(body.toString('utf8')) as CheckpointHead;

/**
 * Version 1 was deflated, which took five times as long; 1 and 2 have CRC-32 of payloads, 3 and 4 a hash that took three
 * times as long. Up to 3 row ids stood in the records, and all strings of the dictionaries in the head.
 */
const FORMATS: ReadonlyMap<number, CheckpointFormat> = new Map([
  [1, { decompress: inflate, parseHead, otherRecords: true, otherChecksums: true }],
  [2, { decompress, parseHead, otherRecords: true, otherChecksums: true }],
  [3, { decompress, parseHead, otherRecords: true, otherChecksums: true }],
  [4, { decompress, parseHead, otherRecords: false, otherChecksums: true }],
  [CHECKPOINT_VERSION, { decompress, parseHead, otherRecords: false, otherChecksums: false }],
]);

/** Makes an object of its parts. It takes some 10 ms for a segment, in one go. */
export function seal(parts: readonly Uint8Array[]): { object: Buffer; sha256: string } {
  const body = compress(Buffer.concat(parts), { compressionLevel: LEVEL });
  const prefix = Buffer.alloc(BODY_AT);
  MAGIC.copy(prefix);
  prefix.writeUInt32LE(CHECKPOINT_VERSION, MAGIC.length);
  const hash = createHash('sha256').update(body).digest();
  hash.copy(prefix, HASH_AT);
  return { object: Buffer.concat([prefix, body]), sha256: hash.toString('hex') };
}

/**
 * The format and the content of an object.
 *
 * @param sha256 what its content must be; of a head, what it says itself
 * @throws BadCheckpointError
 */
export async function unseal(
  key: string,
  object: Buffer,
  sha256?: string,
): Promise<{ format: CheckpointFormat; body: Buffer }> {
  if (object.length < BODY_AT || !object.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new BadCheckpointError(`${key} is no checkpoint (${object.length} bytes)`);
  }
  const version = object.readUInt32LE(MAGIC.length);
  const format = FORMATS.get(version);
  if (format === undefined) {
    const known = [...FORMATS.keys()].join(', ');
    throw new UnusableCheckpointError(`${key} is of format version ${version}; this program reads ${known}`);
  }
  const body = object.subarray(BODY_AT);
  const hash = createHash('sha256').update(body).digest();
  const wanted = sha256 === undefined ? object.subarray(HASH_AT, BODY_AT) : Buffer.from(sha256, 'hex');
  if (!hash.equals(wanted)) {
    throw new BadCheckpointError(
      `${key} is damaged: its checksum is ${hash.toString('hex')}, not ${wanted.toString('hex')}`,
    );
  }
  return { format, body: await format.decompress(body) };
}
