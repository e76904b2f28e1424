import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { isFinal } from '../../attribution/derive.ts';
import { defaultPolicy } from '../../attribution/policy.ts';
import { CoreReader, coreAnswer } from '../core/core-answer.ts';
import { decide, defaultParameters, oracle } from '../oracle/oracle.ts';
import { parseExample, readSections } from './examples.ts';
import { differences, type Implementation } from './outcomes.ts';

const markdown = readFileSync(new URL('../../docs/rules.md', import.meta.url), 'utf8');
const sections = readSections(markdown);
const rules = sections.filter(({ isRule }) => isRule);

function count(outcomes: readonly ('applied' | 'duplicate' | 'late' | 'excluded')[]) {
  const counted = { applied: 0, duplicate: 0, late: 0, excluded: 0 };
  for (const outcome of outcomes) counted[outcome]++;
  return counted;
}

const core: Implementation = {
  answer: coreAnswer,
  ledger(log) {
    const reader = new CoreReader(log, 'speed');
    reader.read(log);
    return count(reader.outcomes);
  },
  isFinal: (endedAt, watermark) => isFinal(endedAt, watermark, defaultPolicy.rules.speed),
};

const plain: Implementation = {
  answer: oracle,
  ledger: (log) => count(decide(log).map(({ decision }) => decision)),
  isFinal: (endedAt, watermark) => watermark > endedAt + defaultParameters.stitchingGap + defaultParameters.lateness,
};

describe.each([
  ['core', core],
  ['oracle', plain],
])('by the %s', (_, implementation) => {
  test.each(sections.flatMap(({ title, examples }) => examples.map((source) => [title, source] as const)))(
    '%s',
    (_, source) => {
      expect(differences(parseExample(source), implementation)).toEqual([]);
    },
  );
});

test('every rule has an example, and no example is lost between the rules', () => {
  expect(rules.length).toBeGreaterThanOrEqual(25);
  expect(rules.filter(({ examples }) => examples.length === 0).map(({ title }) => title)).toEqual([]);
  const examples = sections.flatMap(({ examples }) => examples);
  expect(examples.length).toBeGreaterThanOrEqual(rules.length);
  expect(examples.length).toBe(markdown.match(/^```whence-example$/gm)?.length);
});

test('the rules are numbered, and the table of contents lists each', () => {
  const contents = [...markdown.matchAll(/^ *(\d+)\. \[(.+)\]\(#(.+)\)$/gm)];
  expect(rules.map(({ title }) => title)).toEqual(contents.map(([, number, name]) => `${number}. ${name}`));
  expect(contents.map(([, , , anchor]) => anchor)).toEqual(rules.map(({ title }) => anchorOf(title)));
});

describe('the tables state the default policy', () => {
  const { name: _, classes, ...thresholds } = defaultPolicy.source;

  test('every threshold, each with its value', () => {
    const stated = [...markdown.matchAll(/^\| `([\w.]+)` \| `([^`]+)` \|/gm)].map(([, name, value]) => [name, value]);
    expect(Object.fromEntries(stated)).toEqual(leavesOf(thresholds));
  });

  test('every row type and surface, each under its class', () => {
    const stated = [...markdown.matchAll(/^\| `(discovery|continuation|intent|system)` \|([^|]+)\|/gm)].map(
      ([, name, slugs]) => [name, [...slugs.matchAll(/`(\w+)`/g)].map(([, slug]) => slug)],
    );
    expect(Object.fromEntries(stated)).toEqual(classes);
  });
});

describe('an example that states something false fails', () => {
  const good = `
                20:00        20:05   20:06   20:07
home/trending   i1
b1                           start---beat----stop
                |<- 5 min -->|
b1: from=home/trending impression=i1
=> b1 20:05-20:07  sop=exact:i1  watched=120s qualified  path=i1  linear=1  final_after=20:47
=> ledger consumed=4 applied=4
`;
  const altered = (from: string, to: string) => {
    expect(good).toContain(from);
    return parseExample(good.replace(from, to));
  };

  test('and does not as long as it is true', () => {
    const example = parseExample(good);
    expect([differences(example, core), differences(example, plain)]).toEqual([[], []]);
  });

  test.each([
    ['the watched time', 'watched=120s', 'watched=121s', 'watched is 120s, stated 121s'],
    ['the source', 'sop=exact:i1', 'sop=inferred:i1', 'sop is exact:i1'],
    ['a flag', ' qualified', ' not_qualified', 'qualified is true'],
    ['the path', 'path=i1', 'path=none', 'path is i1'],
    ['a weight', 'linear=1', 'linear=0.5', 'linear is 1'],
    ['when it is final', 'final_after=20:47', 'final_after=20:46', 'not final from just after'],
    ['the end of a play', '20:05-20:07', '20:05-20:06', 'there is no play b1 20:05-20:06'],
    ['the layer', '=> b1', '=> speed: b1', 'batch: b1 20:05-20:07 is not stated'],
    ['the ledger', 'applied=4', 'applied=3 late=1', 'the ledger is consumed=4 applied=4'],
    ['an event in the drawing', 'beat', 'stop', 'watched is 60s'],
  ])('in %s', (_, from, to, message) => {
    const found = differences(altered(from, to), core);
    expect(found).toContainEqual(expect.stringContaining(message));
    expect(differences(altered(from, to), plain)).toEqual(found);
  });

  test.each([
    ['an event under no time', 'start', ' start', 'does not begin under a time'],
    ['a span that measures wrong', '5 min', '6 min', 'spans 300 s'],
    ['a span between no times', '|<- 5', '|<-- 5', 'does not stand between two times'],
    ['a line that measures nothing', '5 min', 'a while', 'is no span'],
    ['a note on nothing', 'b1: from', 'b2: from', 'nothing drawn is meant'],
    ['an attribute that no event has', 'impression=', 'impresion=', 'is no attribute'],
    ['an outcome that is none', '=> b1 20:05-20:07', '=> b1 at 20:05', 'is no outcome'],
    ['an action that is none', 'stop', 'halt', 'is no action'],
    ['a word that no play has', 'path=', 'paths=', 'says nothing of a play'],
  ])('or cannot be read: %s', (_, from, to, message) => {
    expect(() => differences(altered(from, to), core)).toThrow(message);
  });
});

function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\w\s-]/g, '')
    .replaceAll(' ', '-');
}

/** The values of a nested object by their dotted names. */
function leavesOf(value: object, prefix = ''): Record<string, string> {
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, inner]: [string, unknown]) =>
      typeof inner === 'object' && inner !== null
        ? Object.keys(inner).length === 0
          ? [[`${prefix}${name}`, 'on']]
          : Object.entries(leavesOf(inner, `${prefix}${name}.`))
        : [[`${prefix}${name}`, String(inner)]],
    ),
  );
}
