import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import type { TopicSelector } from './settings.ts';

// One reader for each kind of value an environment variable can hold. The message of a failure says what was expected;
// the name and what was found are added by whoever reads the environment. All are optional: not set is undefined.

const TOPIC_NAME = /^[A-Za-z0-9._-]{1,249}$/;
const EXPECTED_TOPIC = 'letters, digits, ".", "_" and "-", at most 249 of them';

export const text = z.string().optional();

export const flag = z
  .enum(['true', 'false', '1', '0'], { error: () => 'true or false' })
  .transform((value) => value === 'true' || value === '1')
  .optional();

/** A whole number from 1 on. */
export const count = z
  .string()
  .regex(/^[1-9]\d{0,8}$/, { error: () => 'a whole number from 1 on' })
  .transform(Number)
  .optional();

/** One of a few words, in any case. */
export const choice = <const Words extends readonly [string, ...string[]]>(...words: Words) =>
  z
    .string()
    .transform((value) => value.toLowerCase())
    .pipe(z.enum(words, { error: () => `one of ${words.join(', ')}` }))
    .optional();

/** The path of a readable file, made absolute. */
export const file = z
  .string()
  .transform((value) => path.resolve(value))
  .refine(isReadableFile, { error: () => 'the path of a file that can be read' })
  .optional();

export const port = z
  .string()
  .regex(/^\d{1,5}$/, { error: () => 'a port: 1 to 65535, or 0 for any that is free' })
  .transform(Number)
  .refine((value) => value <= 65_535, { error: () => 'a port: 1 to 65535, or 0 for any that is free' })
  .optional();

export const address = z
  .string()
  .refine(isAddress, { error: () => 'host:port' })
  .optional();

export const addressList = z
  .string()
  .transform(commaList)
  .refine((items) => items.length > 0 && items.every(isAddress), {
    error: () => 'a comma-separated list of host:port',
  })
  .optional();

export const topic = z
  .string()
  .regex(TOPIC_NAME, { error: () => `the name of a topic: ${EXPECTED_TOPIC}` })
  .optional();

export const topicSelectors = z
  .string()
  .transform((value, context): TopicSelector[] => {
    const selectors = splitSelectors(value).map(topicSelector);
    if (selectors.length > 0 && selectors.every((selector) => selector !== null)) return selectors;
    context.addIssue({
      code: 'custom',
      message: `a comma-separated list of topic names (${EXPECTED_TOPIC}) or /patterns/`,
    });
    return z.NEVER;
  })
  .optional();

export const databaseUrl = z
  .string()
  .refine(isPostgresUrl, { error: () => 'postgres://user:password@host:port/database' })
  .optional();

const BUCKET_URL = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/;
const BUCKET_PREFIX = /^([A-Za-z0-9_=-][A-Za-z0-9._=-]*\/)*$/;

/** A bucket, and what the keys in it begin with: "" or a text that ends with "/". */
export const bucketUrl = z
  .string()
  .transform((value, context) => {
    const [, bucket, folders = ''] = BUCKET_URL.exec(value) ?? [];
    const prefix = folders === '' || folders.endsWith('/') ? folders : `${folders}/`;
    if (bucket !== undefined && BUCKET_PREFIX.test(prefix)) return { bucket, prefix };
    context.addIssue({ code: 'custom', message: 's3://bucket or s3://bucket/prefix (a folder is WHENCE_DATA_DIR)' });
    return z.NEVER;
  })
  .optional();

export const httpUrl = z
  .string()
  .refine((value) => /^https?:\/\/./.test(value) && URL.canParse(value), {
    error: () => 'http://host:port or https://host',
  })
  .optional();

const UNITS: Readonly<Record<string, number>> = { MB: 1e6, GB: 1e9, TB: 1e12 };

/** In bytes. */
export const size = z
  .string()
  .transform((value, context) => {
    const [, digits, unit] = /^(\d+(?:\.\d+)?) ?(MB|GB|TB)$/i.exec(value) ?? [];
    if (digits !== undefined) return Math.round(Number(digits) * UNITS[unit.toUpperCase()]);
    context.addIssue({ code: 'custom', message: 'a size such as 20GB or 500MB' });
    return z.NEVER;
  })
  .optional();

const AGES: Readonly<Record<string, number>> = { h: 3_600_000, d: 86_400_000 };

/**
 * For how long something is kept, in milliseconds.
 *
 * @param least hours
 * @param forGood whether it may be "forever": Infinity
 */
export const age = (least: number, { forGood }: { forGood: boolean }) =>
  z
    .string()
    .transform((value, context) => {
      if (forGood && value.toLowerCase() === 'forever') return Infinity;
      const [, digits, unit] = /^(\d{1,5}) ?(h|d)$/i.exec(value) ?? [];
      const kept = digits === undefined ? 0 : Number(digits) * AGES[unit.toLowerCase()];
      if (kept >= least * AGES['h']) return kept;
      const from = least % 24 === 0 ? `${least / 24}d` : `${least}h`;
      const message = `a time such as 12h or 30d, at least ${from}${forGood ? ', or "forever"' : ''}`;
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    })
    .optional();

function commaList(value: string): string[] {
  return value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** Splits at commas, but not at those inside a /pattern/. */
function splitSelectors(value: string): string[] {
  return [...value.matchAll(/\s*(\/(?:\\.|[^\\/])*\/[a-z]*|[^,]+)\s*(?:,|$)/g)]
    .map((match) => (match[1] ?? '').trim())
    .filter((item) => item !== '');
}

function topicSelector(value: string): TopicSelector | null {
  const pattern = /^\/(.+)\/([iu]*)$/s.exec(value);
  if (pattern === null) return TOPIC_NAME.test(value) ? value : null;
  try {
    return new RegExp(pattern[1] ?? '', pattern[2]);
  } catch {
    return null;
  }
}

function isAddress(value: string): boolean {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^\s:/@,]+):(\d{1,5})$/.exec(value);
  const port = Number(match?.[2]);
  return match !== null && port >= 1 && port <= 65_535;
}

function isReadableFile(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.R_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

function isPostgresUrl(value: string): boolean {
  // A URL without a host (a Unix socket in ?host=) is Postgres's own form.
  const url = URL.parse?.(value.replace('@/', '@localhost/')) ?? parseUrl(value.replace('@/', '@localhost/'));
  return url !== null && (url.protocol === 'postgres:' || url.protocol === 'postgresql:');
}

function parseUrl(value: string): URL | null {
  return URL.canParse(value) ? new URL(value) : null;
}
