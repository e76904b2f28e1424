import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ROOT } from '../../platform/root.ts';
import { RULES } from '../boundaries.ts';

/** A package of its own, with the launcher of ours. */
let root: string;

beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'whence-launch-'));
  write('package.json', '{ "type": "module" }');
  write('cli/main.ts', "import { words } from '../platform/words.ts';\nconsole.log(words satisfies string);\n");
  write('worker/build-bundle.ts', "console.log('built');\n");
  write('platform/words.ts', "export const words: string = 'first';\n");
  write('test/none.ts', 'this is no TypeScript');
  for (const name of ['cli/launch.js', 'cli/whence.js', 'worker/build.js']) {
    fs.mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    fs.copyFileSync(path.join(ROOT, name), path.join(root, name));
  }
  fs.symlinkSync(path.join(ROOT, 'node_modules'), path.join(root, 'node_modules'));
});
afterEach(() => fs.rmSync(root, { recursive: true, force: true }));

function write(name: string, text: string): void {
  const file = path.join(root, name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, text);
}

const start = (name = 'cli/whence.js') => execa('node', [path.join(root, name)], { reject: false, extendEnv: true });
const bundles = () => fs.readdirSync(path.join(root, '.bundles')).sort();

test('compiles at the first start alone, and anew after a change of a source', async () => {
  expect((await start()).stdout).toBe('first');
  const [first] = bundles();
  expect((await start()).stdout).toBe('first');
  expect(bundles()).toEqual([first]);
  write('platform/words.ts', "export const words: string = 'other';\n");
  expect((await start()).stdout).toBe('other');
  expect(bundles()).toHaveLength(2);
  write('platform/words.ts', "export const words: string = 'first';\n");
  expect((await start()).stdout).toBe('first');
  expect(bundles()).toHaveLength(2);
});

test('starts at once do not disturb each other', async () => {
  const results = await Promise.all(Array.from({ length: 6 }, () => start()));
  expect(results.map(({ stdout, stderr }) => [stdout, stderr])).toEqual(results.map(() => ['first', '']));
  expect(bundles()).toHaveLength(1);
});

test('what was compiled beforehand needs no folder that can be written', async () => {
  expect((await start('worker/build.js')).stdout).toBe('built');
  const [name] = bundles();
  const bundle = path.join(root, '.bundles', name);
  const before = fs.statSync(bundle).mtimeMs;
  expect((await start()).stdout).toBe('first');
  expect(fs.statSync(bundle).mtimeMs).toBe(before);
});

test('what was compiled under a strict umask can be read by others', async () => {
  const { stdout } = await execa('sh', ['-c', `umask 077; node ${path.join(root, 'cli/whence.js')}`]);
  expect(stdout).toBe('first');
  const folder = path.join(root, '.bundles');
  const paths = ['', ...fs.readdirSync(folder, { recursive: true, encoding: 'utf8' })];
  const modes = paths.map((name) => fs.statSync(path.join(folder, name)).mode & 0o777);
  expect(new Set(modes)).toEqual(new Set([0o755, 0o644]));
});

test('a source that cannot be compiled is named, with its line', async () => {
  write('platform/words.ts', "export const words: string = 'first';\nconst = 2;\n");
  const { exitCode, stderr } = await start();
  expect(exitCode).toBe(1);
  expect(stderr).toContain('platform/words.ts:2:6');
  expect(stderr).not.toContain('at ');
  expect(bundles()).toEqual([]);
});

test('a folder that cannot be written is named', async () => {
  write('.bundles', 'a file in its place');
  const { exitCode, stderr } = await start();
  expect(exitCode).toBe(1);
  expect(stderr).toContain(`could not be compiled into ${path.join(root, '.bundles')}`);
});

test('what changes while it is compiled is compiled again, never kept under the name of what it was', async () => {
  const words = path.join(root, 'platform/words.ts');
  // esbuild reads after the folder was made, and what was hashed before.
  write(
    'change.mjs',
    `import fs from 'node:fs';
     const { mkdirSync } = fs;
     fs.mkdirSync = (...args) => {
       fs.mkdirSync = mkdirSync;
       fs.writeFileSync(${JSON.stringify(words)}, "export const words: string = 'other';");
       return mkdirSync(...args);
     };`,
  );
  const first = fs.readFileSync(words, 'utf8');
  const { stdout } = await execa('node', ['--import', path.join(root, 'change.mjs'), path.join(root, 'cli/whence.js')]);
  expect(stdout).toBe('other');
  fs.writeFileSync(words, first);
  expect((await start()).stdout).toBe('first');
});

test('what else lies in the checkout is none of it, and a folder of sources may be a link', async () => {
  expect((await start()).stdout).toBe('first');
  write('data/manifest.json', '{}');
  write('notes/some.ts', 'this is no TypeScript');
  expect((await start()).stdout).toBe('first');
  expect(bundles()).toHaveLength(1);
  fs.renameSync(path.join(root, 'platform'), path.join(root, 'elsewhere'));
  fs.symlinkSync(path.join(root, 'elsewhere'), path.join(root, 'platform'));
  expect((await start()).stdout).toBe('first');
  write('elsewhere/words.ts', "export const words: string = 'other';\n");
  expect((await start()).stdout).toBe('other');
});

test('all folders of sources are looked at', () => {
  const launcher = fs.readFileSync(path.join(ROOT, 'cli/launch.js'), 'utf8');
  const folders = Object.keys(RULES).filter(
    (name) => !['test', 'bench'].includes(name) && fs.existsSync(path.join(ROOT, name)),
  );
  expect(folders.length).toBeGreaterThan(10);
  expect(folders.filter((name) => !launcher.includes(`'${name}'`))).toEqual([]);
});

test('errors keep their names, by which they are known as ours', async () => {
  await execa('node', [path.join(ROOT, 'cli/whence.js'), '--version']);
  const folder = path.join(ROOT, '.bundles');
  const [newest] = fs
    .readdirSync(folder)
    .filter((name) => !name.includes('.'))
    .sort((a, b) => fs.statSync(path.join(folder, b)).mtimeMs - fs.statSync(path.join(folder, a)).mtimeMs);
  const code = fs
    .readdirSync(path.join(folder, newest), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.js'))
    .map((name) => fs.readFileSync(path.join(folder, newest, name), 'utf8'))
    .join('');
  const classes = [...code.matchAll(/(\w+) = class(?: (\w+))? extends \w*Error\b/g)];
  expect(classes.length).toBeGreaterThan(20);
  // esbuild gives another name to a class that names itself, or whose name is taken.
  expect(classes.filter(([, variable, own]) => own !== undefined || /\d$/.test(variable))).toEqual([]);
});

test('what a compile that was killed has left is removed', async () => {
  write('.bundles/0123456789abcdef.left/main.js', '');
  fs.utimesSync(path.join(root, '.bundles/0123456789abcdef.left'), 1_000, 1_000);
  expect((await start()).stdout).toBe('first');
  expect(bundles()).toHaveLength(1);
});

test('an error tells the line of the source, not of what was made of it', async () => {
  write(
    'platform/words.ts',
    "interface Nothing { a: 1 }\n\nexport const words: string = fail();\nfunction fail(): string {\n  throw new Error('no');\n}\n",
  );
  expect((await start()).stderr).toMatch(/at fail \(.*platform\/words\.ts:5:/);
});

test('what was made of sources of long ago is removed', async () => {
  expect((await start()).stdout).toBe('first');
  const [first] = bundles();
  fs.utimesSync(path.join(root, '.bundles', first), 1_000, 1_000);
  write('platform/words.ts', "export const words: string = 'other';\n");
  expect((await start()).stdout).toBe('other');
  expect(bundles()).toHaveLength(1);
  expect(bundles()).not.toContain(first);
});
