import { createHash } from 'node:crypto';
import { z } from 'zod';
import { codeVersionSchema } from './code-version.ts';
import { FORMATS, POSITIVES } from './request.ts';
import { statisticsSchema } from './statistics.ts';

/** Of the manifest; a reader of another one must look twice. */
export const MANIFEST_FORMAT = 1;
/** The underscore hides it from what opens all files of a folder as data. */
export const MANIFEST_NAME = '_manifest.json';

const counts = {
  /** Valid impressions of the days, copies left out: examples + sampledOut + all that are excluded. */
  impressions: z.int(),
  examples: z.int(),
  positives: z.int(),
  negatives: z.int(),
  sampledOut: z.int(),
  excluded: z.strictObject({
    another_surface: z.int(),
    another_impression: z.int(),
    unqualified: z.int(),
    already_discovered: z.int(),
    not_matured: z.int(),
  }),
};

const manifest = z.strictObject({
  format: z.literal(MANIFEST_FORMAT),
  name: z.string(),
  request: z.strictObject({
    from: z.string(),
    to: z.string(),
    format: z.enum(FORMATS),
    negatives: z.number(),
    seed: z.int(),
    positives: z.enum(POSITIVES),
    labelWindowMs: z.int(),
  }),
  counts: z.strictObject(counts),
  /** The share of the positives: of the examples, and with their weights, of what they stand for. null where there is none. */
  labelRate: z.number().nullable(),
  weightedLabelRate: z.number().nullable(),
  sampling: z.string(),
  rowOrder: z.array(z.string()),
  schema: z.array(
    z.strictObject({
      name: z.string(),
      type: z.string(),
      nullable: z.boolean(),
      role: z.enum(['id', 'label', 'feature']),
      says: z.string(),
    }),
  ),
  /** In order of their rows. */
  shards: z.array(
    z.strictObject({
      file: z.string(),
      /** Both ends included. */
      buckets: z.tuple([z.int(), z.int()]),
      bytes: z.int(),
      sha256: z.string(),
      ...counts,
    }),
  ),
  statistics: statisticsSchema,
  pins: z.strictObject({
    version: z.int(),
    watermark: z.string(),
    positions: z.array(z.strictObject({ topic: z.string(), partition: z.int(), log: z.int(), next: z.int() })),
    copies: z.array(z.string()),
    days: z.array(z.strictObject({ day: z.string(), generation: z.int(), policy: z.string() })),
  }),
  /** By hash, the policies of these days as they were written. */
  policies: z.record(z.string(), z.unknown()),
  code: codeVersionSchema,
});

/**
 * What a dataset is and came from. Nothing in it depends on when, where or how often it was built, nor on its version: the same
 * request over the same pins has the same manifest, byte by byte.
 */
export type Manifest = z.output<typeof manifest>;

export function manifestText(content: Manifest): string {
  return `${JSON.stringify(content, null, 2)}\n`;
}

/** @throws z.ZodError, SyntaxError where it is no manifest, or one of another format */
export function parseManifest(text: string): Manifest {
  return manifest.parse(JSON.parse(text));
}

/** In hex. */
export function sha256OfBytes(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}
