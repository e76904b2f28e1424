import { describe, expect, test } from 'vitest';
import defaultPolicyFile from '../../attribution/default-policy.json' with { type: 'json' };
import { CLASS_CODES, compilePolicy, defaultPolicy, type PolicySource } from '../../attribution/policy.ts';
import { SURFACE_CLASSES } from '../../attribution/events.ts';
import { withValue } from './samples.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

describe('the default policy is that of the design', () => {
  const shared = {
    stitchingGap: 30 * MINUTE,
    allowedLateness: 10 * MINUTE,
    flagMemory: 24 * HOUR,
    sourceOfPlayWindow: 30 * MINUTE,
    qualifiedWatched: 120_000,
    shortRuntime: 240_000,
    shareOfShortRuntime: 0.5,
    longestStretch: 120_000,
    pathTouches: 50,
  };

  test('in its rules: the layers differ in the discovery window alone', () => {
    expect(defaultPolicy.rules).toEqual({
      speed: { ...shared, discoveryWindow: 24 * HOUR },
      batch: { ...shared, discoveryWindow: 30 * DAY },
    });
  });

  test('in its models', () => {
    expect(defaultPolicy.models).toEqual([
      { name: 'last_touch' },
      { name: 'first_touch' },
      { name: 'linear' },
      { name: 'position_based', first: 0.4, last: 0.4 },
      { name: 'time_decay', halfLife: 7 * DAY },
    ]);
  });

  test('in its name, its file, and the codes of its classes', () => {
    expect(defaultPolicy.name).toBe('default');
    expect(defaultPolicy.source).toEqual(defaultPolicyFile);
    expect(SURFACE_CLASSES.map((name) => CLASS_CODES[name])).toEqual([0, 1, 2, 3]);
  });

  test.each([
    [
      'discovery',
      'netflix_originals because_you_watched top_picks trending top_10 recently_added new_releases more_to_explore ' +
        'genre billboard post_play',
    ],
    ['continuation', 'continue_watching keep_watching watch_it_again watchlist my_list'],
    ['intent', 'search deep_link notification voice external'],
    ['system', 'autoplay_next details'],
  ])('in its classes: %s', (name, slugs) => {
    for (const slug of slugs.split(' ')) {
      expect(defaultPolicy.classOf(slug, 'home')).toEqual({ class: name, known: true });
      expect(defaultPolicy.classOf(null, slug)).toEqual({ class: name, known: true });
    }
    expect(defaultPolicy.source.classes[name as 'intent']).toHaveLength(slugs.split(' ').length);
  });
});

describe('a class', () => {
  test('is that of the row type where the policy lists it, whatever the surface', () => {
    expect(defaultPolicy.classOf('my_list', 'search')).toEqual({ class: 'continuation', known: true });
  });

  test('is else that of the surface', () => {
    expect(defaultPolicy.classOf('new_row', 'search')).toEqual({ class: 'intent', known: true });
    expect(defaultPolicy.classOf(null, 'details')).toEqual({ class: 'system', known: true });
  });

  test('is else discovery, and unknown', () => {
    expect(defaultPolicy.classOf('new_row', 'home')).toEqual({ class: 'discovery', known: false });
    expect(defaultPolicy.classOf(null, 'home')).toEqual({ class: 'discovery', known: false });
    expect(defaultPolicy.classOf('constructor', '__proto__')).toEqual({ class: 'discovery', known: false });
  });
});

function hashWith(path: string, value: unknown): string {
  return compilePolicy(withValue(path, value)).hash;
}

describe('the hash', () => {
  test('is 16 hexadecimal digits, and stays what it is', () => {
    // Stored plays name it. It changes with what the default policy says, and never with how the code is written.
    expect(defaultPolicy.hash).toBe('92065c9b6f96eca0');
    expect(compilePolicy(defaultPolicyFile).hash).toBe(defaultPolicy.hash);
  });

  test('does not depend on the order of keys', () => {
    const reversed = (value: unknown): unknown =>
      typeof value !== 'object' || value === null || Array.isArray(value)
        ? value
        : Object.fromEntries(
            Object.entries(value)
              .reverse()
              .map(([name, field]) => [name, reversed(field)]),
          );
    expect(compilePolicy(reversed(defaultPolicyFile)).hash).toBe(defaultPolicy.hash);
  });

  test('does not depend on the order of slugs', () => {
    for (const name of SURFACE_CLASSES) {
      const slugs = [...defaultPolicyFile.classes[name]].reverse();
      expect(hashWith(`classes.${name}`, slugs)).toBe(defaultPolicy.hash);
    }
  });

  test('does not depend on the name', () => {
    expect(hashWith('name', 'another')).toBe(defaultPolicy.hash);
  });

  test('does not depend on how a duration is spelled', () => {
    for (const spelling of ['1800s', '0.5h', '0.50h', '1800000ms', '30 minutes', '30M']) {
      expect(hashWith('stitching_gap', spelling)).toBe(defaultPolicy.hash);
    }
  });

  test('depends on everything else, and on each in its own way', () => {
    const changes: [string, unknown][] = [
      ['stitching_gap', '31m'],
      ['allowed_lateness', '31m'],
      ['flag_memory', '31m'],
      ['windows.source_of_play', '29m'],
      ['windows.discovery.speed', '25h'],
      ['windows.discovery.batch', '31d'],
      ['qualified.watched', '121s'],
      ['qualified.short_runtime', '121s'],
      ['qualified.share_of_short_runtime', 0.6],
      ['longest_stretch', '121s'],
      ['path_touches', 51],
      ...SURFACE_CLASSES.map((name): [string, unknown] => [
        `classes.${name}`,
        [...defaultPolicyFile.classes[name], 'another'],
      ]),
      ['classes.discovery', defaultPolicyFile.classes.discovery.slice(1)],
      ['models.first_touch', undefined],
      ['models.linear', undefined],
      ['models.position_based', undefined],
      ['models.time_decay', undefined],
      ['models.position_based.first', 0.5],
      ['models.position_based.last', 0.5],
      ['models.time_decay.half_life', '8d'],
    ];
    const hashes = changes.map(([path, value]) => hashWith(path, value));
    expect(new Set([...hashes, defaultPolicy.hash]).size).toBe(changes.length + 1);
  });
});

function modelsWithout(...names: string[]): string[] {
  const file = names.reduce<unknown>((file, name) => withValue(`models.${name}`, undefined, file), defaultPolicyFile);
  return compilePolicy(file).models.map(({ name }) => name);
}

describe('models', () => {
  test('are those that the policy has, in one order', () => {
    expect(modelsWithout('first_touch')).toEqual(['last_touch', 'linear', 'position_based', 'time_decay']);
    expect(modelsWithout('linear', 'position_based')).toEqual(['last_touch', 'first_touch', 'time_decay']);
    expect(modelsWithout('first_touch', 'linear', 'position_based', 'time_decay')).toEqual(['last_touch']);
  });
});

test('a policy without its optional models is a policy', () => {
  const file: PolicySource = { ...(defaultPolicyFile as PolicySource), models: { last_touch: {} } };
  expect(compilePolicy(file).source).toBe(file);
});
