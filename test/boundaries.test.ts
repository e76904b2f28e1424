import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { importsOf, RULES, violationsOf } from './boundaries.ts';

const root = new URL('../', import.meta.url);

/** Paths of the TypeScript files below a folder, from the root. */
function sourcesIn(folder: string): string[] {
  return readdirSync(new URL(folder, root), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.[cm]?tsx?$/.test(entry.name))
    .map((entry) => `${entry.parentPath.replaceAll('\\', '/')}/${entry.name}`.replace(root.pathname, ''));
}

const folders = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
  .map(({ name }) => name)
  .filter((name) => !['node_modules', 'reports', 'coverage'].includes(name))
  .filter((name) => sourcesIn(`${name}/`).length > 0);

describe('the folders keep their boundaries', () => {
  test.each(folders)('%s', (folder) => {
    const violations = sourcesIn(`${folder}/`).flatMap((path) =>
      violationsOf(path, readFileSync(new URL(path, root), 'utf8')),
    );
    expect(violations).toEqual([]);
  });

  test('the table has every folder of the design', () => {
    const designed = 'attribution platform archive streaming batch activities workflows migrations cli web local test';
    for (const folder of [...designed.split(' '), 'bench', 'simulator']) expect(RULES).toHaveProperty(folder);
    expect(folders).toContain('attribution');
    expect(existsSync(new URL('attribution/derive.ts', root))).toBe(true);
  });
});

describe('the reader of imports', () => {
  test('sees each way to import', () => {
    const source = `
      import './a.ts';
      import b from "./b.ts";
      import * as c from './c.ts';
      import d, { type e,
        f as g } from './d.ts';
      import type { h } from './h.ts';
      export { i } from './i.ts';
      export * from './j.ts';
      export type { k } from './k.ts';
      import data from './l.json' with { type: 'json' };
      const m = await import('./m.ts');
      type N = typeof import('./n.ts');
      const o = require('./o.cjs');
      import{p}from'./p.ts';
    `;
    const imports = importsOf(source);
    const from = (typesOnly: boolean) =>
      imports.filter((each) => each.typesOnly === typesOnly).map((each) => each.from);
    expect(from(true)).toEqual(['./h.ts', './k.ts', './n.ts']);
    expect(from(false).sort()).toEqual(
      'a.ts b.ts c.ts d.ts i.ts j.ts l.json m.ts o.cjs p.ts'.split(' ').map((name) => `./${name}`),
    );
  });

  test('sees none in comments and texts', () => {
    const source = `
      // import a from './a.ts';
      /* import b from './b.ts';
         import('./c.ts') */
      export const text = 'https://example.org/*';
      export type Text = 'x';
      /** export { d } from './d.ts'; */
    `;
    expect(importsOf(source)).toEqual([]);
  });
});

describe('a violation is caught where', () => {
  test.each([
    ['the core imports another folder', 'attribution/facts/x.ts', `import { x } from '../../platform/log.ts';`],
    ['the core imports another folder for its types', 'attribution/x.ts', `import type { x } from '../batch/x.ts';`],
    ['the core reads files', 'attribution/x.ts', `import { readFileSync } from 'node:fs';`],
    ['the core takes a package of its own', 'attribution/x.ts', `import pg from 'pg';`],
    ['the core asks for the time', 'attribution/x.ts', `export const now = Date.now();`],
    ['the core asks for the time as a date', 'attribution/x.ts', `export const now = new Date();`],
    ['the core throws dice', 'attribution/x.ts', `export const x = Math.random();`],
    ['the core makes a random id', 'attribution/x.ts', `import { randomUUID } from 'node:crypto';`],
    ['the core reads the environment', 'attribution/x.ts', `export const x = process.env.X;`],
    ['the core prints', 'attribution/x.ts', `console.log(1);`],
    ['the core waits', 'attribution/x.ts', `setTimeout(() => {}, 1);`],
    ['the platform knows attribution', 'platform/x.ts', `import '../attribution/events.ts';`],
    ['the platform knows streaming', 'platform/a/x.ts', `const x = await import('../../streaming/x.ts');`],
    ['streaming imports batch', 'streaming/x.ts', `export * from '../batch/x.ts';`],
    ['batch imports streaming', 'batch/x.ts', `import type { X } from '../streaming/x.ts';`],
    ['batch knows Temporal', 'batch/x.ts', `import { heartbeat } from '@temporalio/activity';`],
    ['the archive imports its writer', 'archive/x.ts', `import '../streaming/x.ts';`],
    ['activities import streaming', 'activities/x.ts', `import '../streaming/x.ts';`],
    ['workflows import an activity', 'workflows/x.ts', `import { x } from '../activities/x.ts';`],
    ['workflows import an activity beside a type', 'workflows/x.ts', `import { type X } from '../activities/x.ts';`],
    ['workflows import batch, be it types', 'workflows/x.ts', `import type { X } from '../batch/x.ts';`],
    ['workflows read files', 'workflows/x.ts', `import 'node:fs';`],
    ['a migration imports what may change later', 'migrations/1.ts', `import '../platform/postgres.ts';`],
    ['the simulator knows streaming', 'simulator/x.ts', `import '../streaming/x.ts';`],
    ['the command imports tests', 'cli/x.ts', `import '../test/x.ts';`],
    ['local imports a bench', 'local/x.ts', `import '../bench/x.ts';`],
    ['a folder has no rule', 'elsewhere/x.ts', ''],
  ])('%s', (_, path, source) => {
    expect(violationsOf(path, source)).toEqual([expect.stringContaining(path)]);
  });

  test('and none where the rules are kept', () => {
    const kept = [
      ['attribution/facts/x.ts', `import { createHash } from 'node:crypto'; import { x } from '../events.ts';`],
      ['attribution/x.ts', `// Date.now() and process.env\nexport const x = new Date(0);`],
      ['streaming/x.ts', `import '../attribution/x.ts'; import '../archive/x.ts'; import kafka from 'kafkajs';`],
      ['batch/x.ts', `import '../attribution/x.ts';\nimport '../platform/x.ts';`],
      ['workflows/x.ts', `import type { X } from '../activities/x.ts';\nimport '@temporalio/workflow';`],
      ['activities/x.ts', `import '../batch/x.ts';\nimport '@temporalio/activity';`],
      ['cli/x.ts', `import '../streaming/x.ts';\nimport '../local/x.ts';`],
      ['test/x/y.ts', `import '../../bench/x.ts';\nimport '../boundaries.ts';`],
    ] as const;
    for (const [path, source] of kept) expect(violationsOf(path, source)).toEqual([]);
  });
});
