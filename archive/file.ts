import { randomBytes } from 'node:crypto';
import { z } from 'zod';

/** The version of the files' format; a reader of another one must look twice. */
export const FORMAT = 1;
/** All keys of the archive begin with this. */
export const ARCHIVE_PREFIX = 'archive/';
/** The key of the Parquet metadata that holds a file's description, as JSON. */
export const METADATA_KEY = 'whence';

/**
 * A place in what is archived of a topic-partition: the next offset, in which log. A topic that was re-created, with the loss
 * accepted, begins a new log, whose offsets mean other records.
 */
export interface LogPlace {
  log: number;
  offset: number;
}

/** What a file says of itself, in its Parquet metadata. */
const description = z.strictObject({
  format: z.literal(FORMAT),
  topic: z.string(),
  partition: z.int(),
  log: z.int(),
  /** The file covers the offsets from `from` up to `to`, that one not included; not all of them need hold a valid event. */
  from: z.int(),
  to: z.int(),
  rows: z.int(),
  /** Epoch milliseconds; null in a file without rows. */
  minEventTime: z.int().nullable(),
  maxEventTime: z.int().nullable(),
  /** The number of rows of each UTC day, by YYYY-MM-DD. */
  days: z.record(z.string(), z.int()),
  /** Where the archive stood when the file was begun: equal to (log, from) but where lost records were accepted. */
  after: z.strictObject({ log: z.int(), offset: z.int() }),
  /** The storage key of the file committed before this one. */
  previous: z.string().nullable(),
  /** Epoch milliseconds. */
  createdAt: z.int(),
  /** The storage keys of the files that it was merged from; not said where it was written by the archiver. */
  replaces: z.array(z.string()).min(1).optional(),
});
export type FileDescription = z.output<typeof description>;

/** A file as the manifest knows it. */
export interface ArchiveFile extends FileDescription {
  /** Its key in the storage. */
  path: string;
  bytes: number;
  /** Of the whole file, in hex. */
  sha256: string;
}

/** @throws z.ZodError, SyntaxError where it is no description, or one of another format */
export function parseDescription(json: string): FileDescription {
  return description.parse(JSON.parse(json));
}

/** Where the files of an installation are: several may share a storage, and none touches the files of another. */
export function prefixOf(installation: string): string {
  return `${ARCHIVE_PREFIX}${installation}/`;
}

/**
 * A key that no other file has: two writers of the same range never write the same object. Keys of a log are in the order of
 * their offsets.
 *
 * @param prefix see `prefixOf`
 */
export function newFileKey(
  prefix: string,
  range: Pick<FileDescription, 'topic' | 'partition' | 'log' | 'from' | 'to'>,
): string {
  const { topic, partition, log, from, to } = range;
  const offsets = [from, to].map((offset) => String(offset).padStart(16, '0')).join('-');
  const name = `${offsets}-${randomBytes(6).toString('hex')}.parquet`;
  return `${prefix}topic=${topic}/partition=${partition}/log=${log}/${name}`;
}
