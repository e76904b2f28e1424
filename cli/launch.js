/**
 * Runs TypeScript as JavaScript that is made of it at the first start: nobody builds, and nothing can be stale, since what is
 * made bears the hash of all that it was made of. Why not at each start: docs/decisions/0023-a-bundle-made-at-start.md.
 */

import { createHash, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const BUNDLES = path.join(ROOT, '.bundles');
/** Everything that starts by itself. */
const ENTRIES = ['cli/main.ts', 'worker/build-bundle.ts'];
/** All that an entry can reach of ours; whatever else lies in the checkout (data, say) is none of it. */
const FOLDERS = [
  ['activities', 'archive', 'attribution', 'batch', 'cli', 'local', 'merge', 'migrations', 'observe', 'platform'],
  ['send', 'simulator', 'streaming', 'worker', 'workflows'],
].flat();
const FILES = ['package.json', 'package-lock.json'];
/** What others may still run is kept for so long, and what a compile that was killed left, for an hour. */
const KEPT_MS = 30 * 86_400_000;
const LEFT_MS = 3_600_000;
/** Sources that keep changing while they are compiled are given up after so many tries. */
const TRIES = 5;
/** A full disk is said once, not for each file. */
const LINES_OF_AN_ERROR = 12;
const READABLE = 0o444;
const READABLE_FOLDER = 0o555;
const NOT_WRITABLE = new Set(['EACCES', 'EPERM', 'EROFS']);

/**
 * Imports an entry, a path of a TypeScript source from the root. Where the sources cannot be compiled, or what is made of them
 * cannot be written, it says why and ends the process.
 *
 * @param {string} entry one of ENTRIES
 */
export async function launch(entry) {
  const bundle = await provideBundle();
  // Stack traces name the TypeScript source.
  process.setSourceMapsEnabled(true);
  await import(pathToFileURL(path.join(bundle, entry.replace(/\.ts$/, '.js'))).href);
}

async function provideBundle() {
  try {
    for (let tries = 0; tries < TRIES; tries++) {
      const bundle = bundleOfSources();
      if (fs.existsSync(bundle) || (await make(bundle))) return bundle;
    }
    throw new Error('the sources keep changing');
  } catch (error) {
    const lines = error.message.split('\n').slice(0, LINES_OF_AN_ERROR);
    console.error(`whence could not be compiled into ${BUNDLES}: ${lines.join('\n')}`);
    if (NOT_WRITABLE.has(error.code)) console.error('As someone who may write there, run once: npm run build');
    return process.exit(1);
  }
}

/** Where the bundle of the sources as they are now stands, or will stand. */
function bundleOfSources() {
  const hash = createHash('sha256').update(process.version);
  for (const name of [...FILES, ...FOLDERS.flatMap(sourcesIn), 'cli/launch.js']) {
    // An installed package has no lock file.
    const text = safely(() => fs.readFileSync(path.join(ROOT, name)));
    hash.update(`\n${name} ${text?.length}\n`).update(text ?? '');
  }
  return path.join(BUNDLES, hash.digest('hex').slice(0, 16));
}

function sourcesIn(folder) {
  if (!fs.existsSync(path.join(ROOT, folder))) return [];
  const names = fs.readdirSync(path.join(ROOT, folder), { recursive: true });
  return names
    .filter((name) => /\.(ts|json)$/.test(name))
    .map((name) => path.join(folder, name))
    .sort();
}

/**
 * Compiles beside, and puts all in its place at once: others may start meanwhile.
 *
 * @returns false where the sources changed meanwhile: nothing was made
 */
async function make(bundle) {
  const { build, stop } = await import('esbuild');
  const aside = `${bundle}.${randomUUID()}`;
  try {
    // esbuild would tell of a folder that cannot be written in its own words.
    fs.mkdirSync(aside, { recursive: true });
    await build({
      absWorkingDir: ROOT,
      entryPoints: ENTRIES,
      outdir: aside,
      outbase: '.',
      bundle: true,
      splitting: true,
      packages: 'external',
      platform: 'node',
      format: 'esm',
      target: `node${process.versions.node}`,
      // What this says, and not a file that is looked for.
      tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
      sourcemap: 'linked',
      sourcesContent: false,
      logLevel: 'silent',
    });
    if (bundleOfSources() !== bundle) return false;
    finish(aside);
    safely(() => fs.chmodSync(BUNDLES, fs.statSync(BUNDLES).mode | READABLE_FOLDER));
    // Another start may have been quicker: then its bundle stands there, which is the same.
    if (!fs.existsSync(bundle)) safely(() => fs.renameSync(aside, bundle));
    if (!fs.existsSync(bundle)) throw new Error(`${aside} cannot be renamed`);
  } finally {
    safely(() => fs.rmSync(aside, { recursive: true, force: true }));
    // Its service would stay for as long as this process.
    await stop();
  }
  removeOld(bundle);
  return true;
}

/**
 * What has its name is whole, even after a power loss; and whoever may read the sources may read it, however strict the umask of who
 * was first.
 */
function finish(folder) {
  for (const name of ['', ...fs.readdirSync(folder, { recursive: true })]) {
    const file = fs.openSync(path.join(folder, name), 'r');
    const stats = fs.fstatSync(file);
    fs.fchmodSync(file, stats.mode | (stats.isDirectory() ? READABLE_FOLDER : READABLE));
    fs.fsyncSync(file);
    fs.closeSync(file);
  }
}

function removeOld(current) {
  for (const name of fs.readdirSync(BUNDLES)) {
    const old = path.join(BUNDLES, name);
    const age = Date.now() - (safely(() => fs.statSync(old).mtimeMs) ?? Date.now());
    if (old === current || age < (name.includes('.') ? LEFT_MS : KEPT_MS)) continue;
    // Half of a bundle must not have its name.
    const aside = name.includes('.') ? old : `${old}.${randomUUID()}`;
    safely(() => fs.renameSync(old, aside));
    safely(() => fs.rmSync(aside, { recursive: true, force: true }));
  }
}

/** Another process may do the same at this moment. */
function safely(look) {
  try {
    return look();
  } catch {
    return undefined;
  }
}
