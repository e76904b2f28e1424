import { createHash } from 'node:crypto';
import ms, { type StringValue } from 'ms';
import { z } from 'zod';
import defaultPolicyFile from './default-policy.json' with { type: 'json' };
import { SURFACE_CLASSES, type SurfaceClass } from './events.ts';
import { MODEL_NAMES, type Model } from './models.ts';

/** The layers of the architecture: they run the same rules with other discovery windows. */
export type Layer = 'speed' | 'batch';

/** Classes as small integers, for columns. */
export const CLASS_CODES: Readonly<Record<SurfaceClass, number>> = {
  discovery: 0,
  continuation: 1,
  intent: 2,
  system: 3,
};

/** The policy, compiled for one layer. All times are milliseconds. */
export interface Rules {
  stitchingGap: number;
  allowedLateness: number;
  /** How long an event's `kind` and `muted_autoplay` speak for later events of its playback id. */
  flagMemory: number;
  sourceOfPlayWindow: number;
  discoveryWindow: number;
  qualifiedWatched: number;
  shortRuntime: number;
  shareOfShortRuntime: number;
  longestStretch: number;
  pathTouches: number;
}

export interface Policy {
  name: string;
  /** Of the content alone: two files that say the same have the same hash. 16 hexadecimal digits. */
  hash: string;
  rules: Readonly<Record<Layer, Rules>>;
  models: readonly Model[];
  /** The class of a row type (where there is one) on a surface, and whether the policy lists it. */
  classOf(rowType: string | null, surface: string): { class: SurfaceClass; known: boolean };
  /** The validated file, as it is stored. */
  source: PolicySource;
}

/** A policy file that cannot be used; `problems` names every fault with its place. */
export class PolicyError extends Error {
  override name = 'PolicyError';
  constructor(readonly problems: string[]) {
    super(`The policy cannot be used:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
  }
}

const duration = z.string().transform((text, context) => {
  const read = /^\d+(\.\d+)?\s*[a-z]+$/i.test(text) ? ms(text as StringValue) : undefined;
  if (typeof read === 'number' && Number.isInteger(read) && read > 0) return read;
  context.addIssue({ code: 'custom', message: `found "${text}", expected a duration such as "30m", "24h" or "7d"` });
  return z.NEVER;
});
const share = z.number().min(0).max(1);
const slugs = z.array(z.string().min(1));

// Each check stands at the part that it is about, so that a fault elsewhere does not keep it from being named.
const windows = z
  .strictObject({ source_of_play: duration, discovery: z.strictObject({ speed: duration, batch: duration }) })
  .superRefine(({ source_of_play: sourceOfPlay, discovery }, context) => {
    const fault = (layer: Layer, message: string) =>
      context.addIssue({ code: 'custom', path: ['discovery', layer], message });
    for (const layer of ['speed', 'batch'] as const) {
      if (discovery[layer] < sourceOfPlay) {
        fault(layer, 'is shorter than windows.source_of_play, expected at least as long');
      }
    }
    if (discovery.batch < discovery.speed) {
      fault('batch', 'is shorter than that of the speed layer, which batch corrects');
    }
  });

const classes = z
  .strictObject({ discovery: slugs, continuation: slugs, intent: slugs, system: slugs })
  .superRefine((lists, context) => {
    const listed = new Map<string, SurfaceClass>();
    for (const name of SURFACE_CLASSES) {
      for (const slug of lists[name]) {
        const other = listed.get(slug);
        const message = `"${slug}" is listed already, in ${other}`;
        if (other) context.addIssue({ code: 'custom', path: [name], message });
        listed.set(slug, name);
      }
    }
  });

const positionBased = z
  .strictObject({ first: share, last: share })
  .refine(({ first, last }) => first + last > 0 && first + last <= 1, 'first + last must be above 0 and at most 1');

const schema = z.strictObject({
  name: z.string().min(1),
  stitching_gap: duration,
  allowed_lateness: duration,
  flag_memory: duration,
  windows,
  qualified: z.strictObject({ watched: duration, short_runtime: duration, share_of_short_runtime: share }),
  longest_stretch: duration,
  path_touches: z.int().min(1).max(1000),
  classes,
  models: z.strictObject({
    last_touch: z.strictObject({}),
    first_touch: z.strictObject({}).optional(),
    linear: z.strictObject({}).optional(),
    position_based: positionBased.optional(),
    time_decay: z.strictObject({ half_life: duration }).optional(),
  }),
});

/** A policy file as people write it, durations in words. */
export type PolicySource = z.input<typeof schema>;

/**
 * Validates a policy file's content and compiles it.
 *
 * @throws PolicyError that lists everything wrong
 */
export function compilePolicy(file: unknown): Policy {
  const read = schema.safeParse(file);
  if (!read.success) {
    throw new PolicyError(read.error.issues.map((issue) => `${issue.path.join('.') || 'the file'}: ${issue.message}`));
  }
  const valid = read.data;
  const classBySlug = new Map(
    SURFACE_CLASSES.flatMap((name) => valid.classes[name].map((slug) => [slug, name] as const)),
  );
  const shared = {
    stitchingGap: valid.stitching_gap,
    allowedLateness: valid.allowed_lateness,
    flagMemory: valid.flag_memory,
    sourceOfPlayWindow: valid.windows.source_of_play,
    qualifiedWatched: valid.qualified.watched,
    shortRuntime: valid.qualified.short_runtime,
    shareOfShortRuntime: valid.qualified.share_of_short_runtime,
    longestStretch: valid.longest_stretch,
    pathTouches: valid.path_touches,
  };
  return {
    name: valid.name,
    hash: createHash('sha256').update(canonical(valid)).digest('hex').slice(0, 16),
    rules: {
      speed: { ...shared, discoveryWindow: valid.windows.discovery.speed },
      batch: { ...shared, discoveryWindow: valid.windows.discovery.batch },
    },
    models: MODEL_NAMES.flatMap((name) => modelOf(name, valid.models)),
    classOf(rowType, surface) {
      const listed = (rowType === null ? undefined : classBySlug.get(rowType)) ?? classBySlug.get(surface);
      return { class: listed ?? 'discovery', known: listed !== undefined };
    },
    source: file as PolicySource,
  };
}

function modelOf(name: (typeof MODEL_NAMES)[number], models: z.output<typeof schema>['models']): Model[] {
  switch (name) {
    case 'position_based':
      return models.position_based ? [{ name, ...models.position_based }] : [];
    case 'time_decay':
      return models.time_decay ? [{ name, halfLife: models.time_decay.half_life }] : [];
    case 'last_touch':
    case 'first_touch':
    case 'linear':
      return models[name] ? [{ name }] : [];
  }
}

/** JSON whose text depends on the content alone: sorted keys, sorted slugs, durations in milliseconds, no name. */
function canonical(valid: z.output<typeof schema>): string {
  return JSON.stringify({ ...valid, name: undefined }, (_key, value: unknown) => {
    if (Array.isArray(value)) return [...value].sort();
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

/** The policy of the design: what applies where nobody chose another. */
export const defaultPolicy: Policy = compilePolicy(defaultPolicyFile);
