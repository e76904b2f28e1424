import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { parse, YAMLError } from 'yaml';
import { COMMANDS } from '../../cli/commands.ts';
import { readSettings, SettingsError } from '../../platform/settings.ts';

/** What of a Compose file is looked at here; that it has this form, the schema says. */
export interface Compose {
  services: Record<string, ComposeService>;
  volumes: Record<string, unknown>;
}

export interface ComposeService {
  image: string;
  build?: string;
  command?: string[];
  environment?: Record<string, string>;
  depends_on?: Record<string, { condition: string }>;
  healthcheck?: { test: string[] };
  ports?: string[];
  restart?: string;
  stop_grace_period?: string;
  volumes?: string[];
}

/** The official schema of the Compose specification, as the linter brings it along. */
const SCHEMA = new URL('schemas/compose.schema.json', import.meta.resolve('dclint/package.json'));
const { $schema: _draft, ...schema } = JSON.parse(readFileSync(SCHEMA, 'utf8')) as Record<string, unknown>;
// Draft 7, which ajv takes by default. The formats are Docker's own, such as "ports".
const fits = new Ajv({ strict: false, validateFormats: false, allErrors: true }).compile(schema);

/** What our image runs. */
const LAUNCHER = '/app/cli/whence.js';

export function parseCompose(text: string): unknown {
  return parse(text, { merge: true }) as unknown;
}

/** As Compose does where no variable is set: `${NAME:-default}` becomes `default`. */
export function withDefaults(value: string): string {
  return value.replaceAll(/\$\{\w+:-([^}]*)\}/g, '$1');
}

/** Everything wrong with a Compose file, in words. */
export async function composeProblems(text: string): Promise<string[]> {
  let file: unknown;
  try {
    file = parseCompose(text);
  } catch (error) {
    if (error instanceof YAMLError) return [error.message];
    throw error;
  }
  if (!fits(file)) return (fits.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
  const { services, volumes } = file as Compose;
  const problems = await Promise.all(
    Object.entries(services).map(async ([name, service]) => {
      const own = service.build === undefined ? imageProblems(service) : await whenceProblems(service);
      return [...own, ...referenceProblems(service, services, volumes)].map((problem) => `${name}: ${problem}`);
    }),
  );
  return problems.flat();
}

/** A tag that moves would give another server tomorrow. */
function imageProblems({ image }: ComposeService): string[] {
  return /^[\w./-]+:v?\d+\.\d+[\w.-]*$/.test(image) ? [] : [`the image ${image} is not pinned to a version`];
}

async function whenceProblems({ command, healthcheck, environment = {} }: ComposeService): Promise<string[]> {
  const check = healthcheck?.test ?? [];
  const at = check.indexOf(LAUNCHER);
  return [
    ...(await commandProblems(command ?? [])),
    ...(check.length > 0 && at < 0 ? [`the health check does not run ${LAUNCHER}`] : []),
    ...(at < 0 ? [] : await commandProblems(check.slice(at + 1))),
    ...settingProblems(environment),
  ];
}

async function commandProblems([name, ...rest]: string[]): Promise<string[]> {
  const entry = COMMANDS.find((each) => each.name === name);
  if (entry === undefined) return [`whence has no command "${name}"`];
  const known = (await entry.load()).options.map(({ long }) => long);
  return rest
    .filter((word) => word.startsWith('-') && !known.includes(word))
    .map((word) => `whence ${name} has no option ${word}`);
}

function settingProblems(environment: Record<string, string>): string[] {
  const known = knownSettings();
  const unknown = Object.keys(environment).filter((name) => !known.has(name));
  const values = Object.entries(environment).map(([name, value]) => [name, withDefaults(value)]);
  return [
    ...unknown.map((name) => `whence has no setting ${name}`),
    ...wrongSettings(Object.fromEntries(values) as Record<string, string>),
  ];
}

function wrongSettings(environment: Record<string, string>): string[] {
  try {
    readSettings(environment);
    return [];
  } catch (error) {
    if (error instanceof SettingsError)
      return error.problems.map(({ name, expected }) => `${name}: expected ${expected}`);
    throw error;
  }
}

/** The names of all variables that `readSettings` reads. */
function knownSettings(): Set<string> {
  const source = readFileSync(new URL('../../platform/settings.ts', import.meta.url), 'utf8');
  return new Set([...source.matchAll(/^ {2}([A-Z0-9_]+): read\./gm)].map(([, name]) => name ?? ''));
}

/** What Compose itself would refuse, and the schema cannot know. */
function referenceProblems(
  service: ComposeService,
  services: Compose['services'],
  volumes: Compose['volumes'],
): string[] {
  const awaited = Object.entries(service.depends_on ?? {}).flatMap(([name, { condition }]) => {
    const other = services[name];
    if (other === undefined) return [`depends on ${name}, which is no service`];
    if (condition === 'service_healthy' && !other.healthcheck) return [`${name} has no health check to wait for`];
    const once = other.restart === 'no';
    if (once !== (condition === 'service_completed_successfully')) return [`waits for ${name} to be ${condition}`];
    return [];
  });
  const missing = (service.volumes ?? [])
    .map((volume) => volume.split(':')[0] ?? '')
    .filter((volume) => !(volume in volumes));
  return [...awaited, ...missing.map((volume) => `the volume ${volume} is not declared`)];
}
