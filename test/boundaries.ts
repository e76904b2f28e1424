/** The boundaries between the folders, and what of a source breaks them. */

/** What a folder may import beside its own files. */
export interface FolderRule {
  /** Other folders of ours; 'any' but those of `ONLY_FOR_TESTS`. */
  ours: readonly string[] | 'any';
  /** Folders that may be imported as types alone. */
  types?: readonly string[];
  /** Packages and built-in modules: only these, where it is said. */
  only?: readonly (string | RegExp)[];
  /** Packages and built-in modules that may not be imported. */
  never?: readonly (string | RegExp)[];
  /** Of the source beside its imports. */
  uses?: readonly { what: RegExp; because: string }[];
}

/** Nothing else imports these. */
const ONLY_FOR_TESTS = ['test', 'bench'];

const NO_TIME_OR_CHANCE = 'the core has no clock, no randomness and no I/O';
const TEMPORAL = /^@temporalio\//;

/** The layout of docs/design.md, "Layout". A folder that is not listed breaks the rules, so that each is thought of. */
export const RULES: Readonly<Record<string, FolderRule>> = {
  attribution: {
    ours: [],
    // Pure computing: hashes, UTF-8, and reading durations and policy files that were already loaded.
    only: ['node:crypto', 'node:buffer', 'zod', 'ms'],
    uses: [
      { what: /\bDate\.now\b|\bnew Date\(\s*\)|(?<!new )\bDate\(/, because: NO_TIME_OR_CHANCE },
      { what: /\bMath\.random\b|\brandom(UUID|Bytes|Int|FillSync)\b/, because: NO_TIME_OR_CHANCE },
      { what: /\b(process|console|globalThis|performance|fetch)\b\s*[.([]/, because: NO_TIME_OR_CHANCE },
      { what: /\bset(Timeout|Interval|Immediate)\b|\bqueueMicrotask\b/, because: NO_TIME_OR_CHANCE },
    ],
  },
  // Their names are all that is known of migrations: a bundle takes them along so.
  platform: { ours: ['migrations'] },
  archive: { ours: ['attribution', 'platform'], never: [TEMPORAL] },
  merge: { ours: ['attribution', 'platform'], never: [TEMPORAL, 'kafkajs'] },
  streaming: { ours: ['attribution', 'platform', 'archive', 'merge'], never: [TEMPORAL] },
  batch: { ours: ['attribution', 'platform', 'archive', 'merge'], never: [TEMPORAL, 'kafkajs'] },
  activities: { ours: ['attribution', 'platform', 'archive', 'batch'] },
  workflows: {
    ours: [],
    types: ['activities'],
    only: ['@temporalio/workflow', '@temporalio/common', 'zod'],
    uses: [{ what: /\bprocess\s*\./, because: 'a workflow must do the same again when it is replayed' }],
  },
  worker: { ours: ['activities', 'batch', 'platform'] },
  migrations: { ours: [], only: ['knex'] },
  local: { ours: ['platform'] },
  observe: { ours: ['attribution', 'platform', 'streaming'], never: [TEMPORAL] },
  send: { ours: ['platform', 'observe', 'streaming'], never: [TEMPORAL] },
  simulator: { ours: ['attribution', 'platform'] },
  web: { ours: ['attribution', 'platform'], never: [TEMPORAL, 'kafkajs'] },
  cli: { ours: 'any' },
  test: { ours: 'any' },
  bench: { ours: 'any' },
};

export interface Import {
  from: string;
  /** Erased when the types are. */
  typesOnly: boolean;
}

/** What a source without its comments imports: statically, dynamically, re-exported, or as the type of a module. */
export function importsOf(source: string): Import[] {
  const code = withoutComments(source);
  const statements = code.matchAll(
    /(?:^|[;}\n])\s*(?:import|export)\b\s*(type\s)?(?:[\w$*\s{},]*?\bfrom\s*)?(["'])([^"'\n]+)\2/g,
  );
  const calls = code.matchAll(/(typeof\s+)?\b(?:import|require)\s*\(\s*(["'`])([^"'`\n]+)\2/g);
  return [...statements, ...calls].map(([, types, , from]) => ({ from, typesOnly: types !== undefined }));
}

/** What of a file breaks the rules, in words; `path` is from the root of the repository, with slashes. */
export function violationsOf(path: string, source: string): string[] {
  const folder = folderOf(path);
  const rule = RULES[folder];
  if (rule === undefined) return [`${path}: the folder "${folder}" has no rule in test/boundaries.ts`];
  const violations = importsOf(source).flatMap((each) => {
    const why = whyNot(path, folder, rule, each);
    return why === null ? [] : [`${path} imports ${each.from}: ${why}`];
  });
  const code = withoutComments(source);
  for (const { what, because } of rule.uses ?? []) {
    const found = what.exec(code);
    if (found) violations.push(`${path} uses ${found[0].trim()}: ${because}`);
  }
  return violations;
}

function whyNot(path: string, folder: string, rule: FolderRule, { from, typesOnly }: Import): string | null {
  if (!from.startsWith('.')) {
    const matches = (pattern: string | RegExp) => (typeof pattern === 'string' ? pattern === from : pattern.test(from));
    if (rule.only && !rule.only.some(matches)) return `${folder} imports no package but ${rule.only.join(', ')}`;
    return rule.never?.some(matches) ? `${folder} knows nothing of it` : null;
  }
  const target = folderOf(resolve(path, from));
  if (target === folder) return null;
  if (ONLY_FOR_TESTS.includes(target)) {
    return ONLY_FOR_TESTS.includes(folder) ? null : `only ${ONLY_FOR_TESTS.join(' and ')} import ${target}`;
  }
  if (rule.ours === 'any' || rule.ours.includes(target)) return null;
  if (!rule.types?.includes(target)) return `${folder} knows nothing of ${target}`;
  return typesOnly ? null : `${folder} imports types of ${target}, and nothing else`;
}

/** The top-level folder of a path, '' of a file at the root. */
function folderOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : '';
}

function resolve(path: string, relative: string): string {
  return new URL(relative, `file:///${path}`).pathname.slice(1);
}

/** Strings and regular expressions stay, so that what looks like a comment in them does, too. */
function withoutComments(source: string): string {
  const token = /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;
  return source.replace(token, (found) => (found.startsWith('/') ? ' ' : found));
}
