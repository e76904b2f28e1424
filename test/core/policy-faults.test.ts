import { describe, expect, test } from 'vitest';
import defaultPolicyFile from '../../attribution/default-policy.json' with { type: 'json' };
import { compilePolicy, PolicyError } from '../../attribution/policy.ts';
import { withValue } from './samples.ts';

function problemsOf(file: unknown): string[] {
  try {
    compilePolicy(file);
  } catch (error) {
    if (error instanceof PolicyError) return error.problems;
    throw error;
  }
  return [];
}

function words(found: string): string {
  return `found "${found}", expected a duration such as "30m", "24h" or "7d"`;
}

function withEnds(first: number, last: number): string[] {
  return problemsOf(withValue('models.position_based', { first, last }));
}

describe('a file that cannot be used', () => {
  test.each(['', '30', 'm', '30m 5s', '-5m', '0s', '0.0001ms', '1.5ms', '30 parsecs', '1e3s', 'x30m', '.5h', '5.h'])(
    'has the duration "%s"',
    (duration) => {
      expect(problemsOf(withValue('stitching_gap', duration))).toEqual([`stitching_gap: ${words(duration)}`]);
    },
  );

  test.each(
    [
      'stitching_gap',
      'allowed_lateness',
      'flag_memory',
      'windows.source_of_play',
      'windows.discovery.speed',
      'windows.discovery.batch',
      'qualified.watched',
      'qualified.short_runtime',
      'longest_stretch',
      'models.time_decay.half_life',
    ].map((path) => ({ path })),
  )('has no duration in $path', ({ path }) => {
    expect(problemsOf(withValue(path, 'soon'))).toEqual([`${path}: ${words('soon')}`]);
    for (const value of [1800, null, undefined]) {
      expect(problemsOf(withValue(path, value))).toEqual([expect.stringMatching(`^${path}: .*string`)]);
    }
  });

  test.each([
    ['name', ''],
    ['name', undefined],
    ['qualified.share_of_short_runtime', 1.01],
    ['qualified.share_of_short_runtime', -0.01],
    ['path_touches', 0],
    ['path_touches', 1001],
    ['path_touches', 1.5],
    ['classes.intent', undefined],
    ['classes.intent', 'search'],
    ['classes.system.0', ''],
    ['models', undefined],
    ['models.last_touch', undefined],
    ['models.position_based.first', undefined],
    ['models.position_based.last', -0.1],
  ])('is at fault in %s (%j), and says so', (path, value) => {
    expect(problemsOf(withValue(path, value))).toEqual([expect.stringMatching(`^${path.replaceAll('.', '\\.')}: .`)]);
  });

  test.each([
    ['typo', 'the file'],
    ['windows.typo', 'windows'],
    ['windows.discovery.typo', 'windows.discovery'],
    ['qualified.typo', 'qualified'],
    ['classes.typo', 'classes'],
    ['models.typo', 'models'],
    ['models.last_touch.typo', 'models.last_touch'],
    ['models.first_touch.typo', 'models.first_touch'],
    ['models.linear.typo', 'models.linear'],
    ['models.position_based.typo', 'models.position_based'],
    ['models.time_decay.typo', 'models.time_decay'],
  ])('has a key that nothing reads: %s', (path, place) => {
    expect(problemsOf(withValue(path, '1m'))).toEqual([expect.stringMatching(`^${place}: .*"typo"`)]);
  });

  test.each([null, 'default', [], 7])('is no object: %j', (file) => {
    expect(problemsOf(file)).toEqual([expect.stringMatching(/^the file: .*object/)]);
  });

  test('has discovery windows shorter than the window of the source of play, or batch shorter than speed', () => {
    const shorter = 'is shorter than windows.source_of_play, expected at least as long';
    const thanSpeed = 'is shorter than that of the speed layer, which batch corrects';
    expect(problemsOf(withValue('windows.discovery.speed', '29m'))).toEqual([`windows.discovery.speed: ${shorter}`]);
    expect(problemsOf(withValue('windows.discovery.batch', '23h'))).toEqual([`windows.discovery.batch: ${thanSpeed}`]);
    expect(problemsOf(withValue('windows.discovery.batch', '29m'))).toEqual([
      `windows.discovery.batch: ${shorter}`,
      `windows.discovery.batch: ${thanSpeed}`,
    ]);
    const equal = { source_of_play: '24h', discovery: { speed: '24h', batch: '24h' } };
    expect(problemsOf(withValue('windows', equal))).toEqual([]);
  });

  test('has ends that share more than there is, or nothing', () => {
    const problem = 'models.position_based: first + last must be above 0 and at most 1';
    expect(withEnds(0.6, 0.41)).toEqual([problem]);
    expect(withEnds(0, 0)).toEqual([problem]);
    for (const [first, last] of [
      [0.6, 0.4],
      [1, 0],
      [0, 0.1],
    ] as const) {
      expect(withEnds(first, last)).toEqual([]);
    }
  });

  test('lists a slug twice', () => {
    expect(problemsOf(withValue('classes.system', ['details', 'search']))).toEqual([
      'classes.system: "search" is listed already, in intent',
    ]);
    expect(problemsOf(withValue('classes.system', ['details', 'details']))).toEqual([
      'classes.system: "details" is listed already, in system',
    ]);
  });

  test('has all its faults named at once, in an error that people can read', () => {
    const file = ['stitching_gap', 'flag_memory', 'qualified.watched', 'models.time_decay.half_life'].reduce<unknown>(
      (file, path) => withValue(path, 'soon', file),
      withValue('path_touches', 0),
    );
    expect(problemsOf(file)).toHaveLength(5);
    expect(() => compilePolicy(withValue('stitching_gap', 'soon'))).toThrow(
      expect.objectContaining({
        name: 'PolicyError',
        message: `The policy cannot be used:\n  - stitching_gap: ${words('soon')}`,
      }),
    );
    expect(() => compilePolicy(withValue('flag_memory', 'later', withValue('stitching_gap', 'soon')))).toThrow(
      new PolicyError([`stitching_gap: ${words('soon')}`, `flag_memory: ${words('later')}`]),
    );
    expect(new PolicyError(['one', 'two']).message).toBe('The policy cannot be used:\n  - one\n  - two');
  });

  test('has the faults of its content named beside those of its form elsewhere', () => {
    const changes: [string, unknown][] = [
      ['classes.system', ['search']],
      ['windows.discovery.speed', '29m'],
      ['models.position_based', { first: 0, last: 0 }],
      ['stitching_gap', 'soon'],
      ['name', undefined],
      ['models.typo', 1],
    ];
    const file = changes.reduce<unknown>((file, [path, value]) => withValue(path, value, file), defaultPolicyFile);
    const problems = problemsOf(file).map((problem) => problem.split(':')[0]);
    expect(problems.sort()).toEqual([
      'classes.system',
      'models',
      'models.position_based',
      'name',
      'stitching_gap',
      'windows.discovery.speed',
    ]);
  });
});
