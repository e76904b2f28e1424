/**
 * Runs TypeScript as JavaScript that is made of it at the first start: nobody builds, and nothing can be stale, since what is
 * made bears the hash of all that it was made of. Why not at each start: docs/decisions/0023-a-bundle-made-at-start.md.
 */

import { createHash, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FOLDER = path.join(ROOT, '.bundles');
/** Everything that starts by itself. */
const ENTRIES = ['cli/main.ts', 'worker/build-bundle.ts'];
/** Folders without sources that an entry could reach. */
const NOT_OURS = new Set(['node_modules', 'test', 'bench', 'docs', 'reports', 'coverage']);
/** What others may still run is kept for so long. */
const KEPT_MS = 30 * 86_400_000;
const NOT_WRITABLE = new Set(['EACCES', 'EPERM', 'EROFS']);

/**
 * Imports an entry, a path of a TypeScript source from the root. Where the sources cannot be compiled, or what is made of them
 * cannot be written, it says why and ends the process.
 *
 * @param {string} entry one of ENTRIES
 */
export async function launch(entry) {
  const bundle = path.join(FOLDER, hashOf(listSources()));
  if (!fs.existsSync(bundle)) {
    try {
      await make(bundle);
    } catch (error) {
      console.error(`whence could not be compiled into ${FOLDER}: ${error.message}`);
      if (NOT_WRITABLE.has(error.code)) console.error('As someone who may write there, run once: npm run build');
      process.exit(1);
    }
  }
  // Stack traces name the TypeScript source.
  process.setSourceMapsEnabled(true);
  await import(pathToFileURL(path.join(bundle, entry.replace(/\.ts$/, '.js'))).href);
}

function listSources() {
  const sources = ['package.json', 'package-lock.json', 'tsconfig.json', 'cli/launch.js'];
  const look = (folder) => {
    for (const entry of fs.readdirSync(path.join(ROOT, folder), { withFileTypes: true })) {
      if (entry.name.startsWith('.') || NOT_OURS.has(entry.name)) continue;
      const name = path.posix.join(folder, entry.name);
      if (entry.isDirectory()) look(name);
      else if (folder !== '' && /\.(ts|json)$/.test(name)) sources.push(name);
    }
  };
  look('');
  return sources.sort();
}

function hashOf(sources) {
  const hash = createHash('sha256').update(process.version);
  for (const name of sources) {
    const text = safely(() => fs.readFileSync(path.join(ROOT, name)));
    hash.update(`\n${name} ${text?.length}\n`).update(text ?? '');
  }
  return hash.digest('hex').slice(0, 16);
}

/** Beside, and in its place at once: others may start meanwhile. */
async function make(bundle) {
  const { build } = await import('esbuild');
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
      sourcemap: 'linked',
      sourcesContent: false,
      logLevel: 'silent',
    });
    // Another start may have been quicker: then its bundle stands there, which is the same.
    if (!fs.existsSync(bundle)) safely(() => fs.renameSync(aside, bundle));
    if (!fs.existsSync(bundle)) throw new Error(`${aside} cannot be renamed`);
  } finally {
    fs.rmSync(aside, { recursive: true, force: true });
  }
  removeOld(bundle);
}

function removeOld(current) {
  for (const name of fs.readdirSync(FOLDER)) {
    const bundle = path.join(FOLDER, name);
    const age = Date.now() - (safely(() => fs.statSync(bundle).mtimeMs) ?? Date.now());
    if (bundle !== current && age > KEPT_MS) fs.rmSync(bundle, { recursive: true, force: true });
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
