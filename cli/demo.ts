import fs from 'node:fs';
import path from 'node:path';
import { tableFromIPC } from 'apache-arrow';
import { Command } from 'commander';
import { accepts } from '../local/ports.ts';
import { DEFAULT_PORTS } from '../local/stack-parts.ts';
import { silentLogger } from '../platform/log.ts';
import { openPool, type Pool } from '../platform/postgres.ts';
import { readSettings } from '../platform/settings.ts';
import type { DatasetOutcome } from '../activities/dataset-activities.ts';
import { ask, CORRECTED_PLAY, CORRECTIONS, type Row, TOP_ROWS } from './demo-answers.ts';
import { DemoProcesses } from './demo-processes.ts';
import { measureFreshness, watchStream } from './demo-stream.ts';
import { wholeNumberFrom } from './option-values.ts';
import { grouped, print, table } from './output.ts';

interface Options {
  profiles: number;
  days: number;
  seed: number;
  exit?: true;
  stop?: true;
}

interface Servers {
  databaseUrl: string;
  kafkaBrokers: string[];
  temporalAddress: string;
  temporalUiUrl: string;
}

const DAY = 86_400_000;
/** Of its own within the data folder, so that it touches nothing of anybody's. */
const FOLDER = 'demo';
const EXAMPLES_SHOWN = 5;

/** `npm run demo`: the whole job, once, on this machine. */
export function demoCommand(): Command {
  return new Command('demo')
    .description(
      'the whole job in two minutes: real servers, some days of events, live answers, corrections, a dataset, a schedule. It has ' +
        'data and servers of its own, which it leaves running',
    )
    .option('--profiles <n>', 'how many profiles watch', wholeNumberFrom(1), 1_500)
    .option('--days <n>', 'how many days', wholeNumberFrom(1), 3)
    .option('--seed <n>', 'another seed is another stream', wholeNumberFrom(1), 7)
    .option('--exit', 'stop everything at the end')
    .option('--stop', 'only stop what an earlier demo left running')
    .action(run);
}

async function run(options: Options): Promise<void> {
  const begun = performance.now();
  const demo = new DemoProcesses(path.join(readSettings(process.env).dataDir, FOLDER));
  // An earlier demo makes room.
  await stop(demo);
  if (options.stop) return;
  try {
    const servers = await start(demo);
    const pool = await openPool({
      databaseUrl: servers.databaseUrl,
      applicationName: 'whence-demo',
      log: silentLogger(),
    });
    try {
      await show(demo, pool, options);
    } finally {
      await pool.end();
    }
    const seconds = Math.round((performance.now() - begun) / 1000);
    print('', `That was the whole job, in ${seconds} s.`);
    if (options.exit) await stop(demo);
    else leave(demo, servers);
  } catch (error) {
    print('', `The demo failed; its servers are being stopped. Logs: ${demo.dataDir}`);
    await stop(demo);
    throw error;
  }
}

async function start(demo: DemoProcesses): Promise<Servers> {
  title('Real servers: Postgres, Kafka, Temporal', 'whence up');
  const servers = JSON.parse(await demo.run(['up', '--json', ...(await portOptions())])) as Servers;
  demo.setAddresses({
    DATABASE_URL: servers.databaseUrl,
    KAFKA_BROKERS: servers.kafkaBrokers.join(','),
    TEMPORAL_ADDRESS: servers.temporalAddress,
  });
  print(
    `  Postgres ${new URL(servers.databaseUrl).host}, Kafka ${servers.kafkaBrokers.join(',')}, Temporal's UI ${servers.temporalUiUrl}`,
  );
  await demo.run(['migrate']);
  return servers;
}

/** The usual ports, where nothing else has them. */
async function portOptions(): Promise<string[]> {
  const names = { postgres: 'postgres', kafka: 'kafka', temporal: 'temporal', temporalUi: 'temporal-ui' } as const;
  const options = await Promise.all(
    Object.entries(names).map(async ([name, option]) => {
      const port = DEFAULT_PORTS[name as keyof typeof names];
      return [`--${option}-port`, String((await accepts(port)) ? 0 : port)];
    }),
  );
  return options.flat();
}

async function show(demo: DemoProcesses, pool: Pool, { profiles, days, seed }: Options): Promise<void> {
  const events = path.join(demo.dataDir, 'events.ndjson');
  const today = Math.floor(Date.now() / DAY) * DAY;
  const range = Array.from({ length: days }, (_, i) => new Date(today - (days - i) * DAY).toISOString().slice(0, 10));

  const simulate = ['simulate', '--profiles', `${profiles}`, '--days', `${days}`, '--seed', `${seed}`, '--out'];
  title(`${grouped(profiles)} profiles watch for ${days} days`, `whence ${simulate.join(' ')} ${shortened(events)}`);
  // The stream comes up meanwhile.
  await Promise.all([demo.run([...simulate, events]), demo.leave('stream', ['stream', '--no-archive'])]);
  const records = countLines(events);
  print(`  ${grouped(records)} records: out of order, some twice, some late, some broken, as in life`);

  title(
    'They come in; the speed layer attributes them, the archiver keeps them',
    `whence send ${shortened(events)}`,
    'whence stream',
  );
  const streamed = watchStream(demo, pool, records);
  await demo.run(['send', events]);
  // A command of its own, so that the archive is whole when batch needs it: beside the stream it writes a file every few minutes.
  await Promise.all([streamed, demo.run(['archive', '--until-caught-up'])]);
  await Promise.all([demo.leave('archive', ['archive']), demo.leave('worker', ['worker'])]);

  title('Which rows led to discoveries? Live, from the speed layer', psql(TOP_ROWS));
  showRows(await ask(pool, TOP_ROWS));
  print(`  And one play more, of this moment: ${await measureFreshness(demo, pool)}.`);

  title(
    'Batch corrects what speed could not know, in Temporal',
    ...range.map((day) => `whence reconcile --day ${day}`),
  );
  for (const day of range) print(indented(await demo.run(['reconcile', '--day', day])));

  title('What was corrected, and why', psql(CORRECTIONS));
  showRows(await ask(pool, CORRECTIONS));
  const [corrected] = await ask(pool, CORRECTED_PLAY);
  if (corrected !== undefined) {
    title(
      `One of them: speed said ${corrected['speed_said']}, batch, which sees 30 days, says ${corrected['batch_says']}`,
      `whence explain ${corrected['play_id']}`,
    );
    print(indented(await demo.run(['explain', String(corrected['play_id'])])));
  }

  const build = [
    'dataset',
    'build',
    '--name',
    'demo',
    '--from',
    range[0],
    '--to',
    range[days - 1],
    '--negatives',
    '0.1',
  ];
  title('A training dataset of labelled impressions', `whence ${build.join(' ')}`);
  const outcome = JSON.parse(await demo.run([...build, '--json'])) as DatasetOutcome;
  showDataset(outcome);

  title('Every day from now on, by itself', 'whence schedule apply');
  print(indented(await demo.run(['schedule', 'apply'])));
}

/** The first examples, a few of their columns, and the share of positives. */
function showDataset({ path: folder, counts, labelRate }: DatasetOutcome): void {
  const [shard] = fs
    .readdirSync(folder)
    .filter((name) => name.endsWith('.arrow'))
    .sort();
  const examples = tableFromIPC(fs.readFileSync(path.join(folder, shard))).toArray() as { toJSON(): Row }[];
  const shown = examples.slice(0, EXAMPLES_SHOWN).map((example) => {
    const { label, weight, row_type, row_rank, position, device_type, impressions_30d, plays } = example.toJSON();
    return { label, weight, row_type, row_rank, position, device_type, impressions_30d, plays };
  });
  showRows(shown);
  const rate = labelRate === null ? '-' : `${(labelRate * 100).toFixed(1)} %`;
  print(
    `  … ${grouped(counts.examples)} examples, ${grouped(counts.positives)} positive: a label rate of ${rate}. In ${shortened(folder)}`,
  );
}

async function stop(demo: DemoProcesses): Promise<void> {
  await demo.stop();
  await demo.run(['down', '--delete-data']);
  for (const name of ['archive', 'batch', 'datasets'])
    fs.rmSync(path.join(demo.dataDir, name), { recursive: true, force: true });
}

function leave(demo: DemoProcesses, { databaseUrl, temporalUiUrl }: Servers): void {
  print(
    'Everything goes on running:',
    `  Temporal's UI   ${temporalUiUrl}  (start reconcileDay on the task queue whence-batch, or a backfill of the schedule)`,
    `  Postgres        psql "${databaseUrl}"`,
    `  Logs            ${shortened(demo.dataDir)}/{stream,archive,worker}.log`,
    '  Stop it         npm run demo -- --stop',
  );
}

function title(text: string, ...commands: string[]): void {
  print('', `== ${text}`, ...commands.map((command) => `   $ ${command.startsWith('psql') ? '' : 'npx '}${command}`));
}

/** As it can be pasted. */
function psql(sql: string): string {
  return `psql "$DATABASE_URL" -c "${sql.replaceAll(/\s+/g, ' ')}"`;
}

function showRows(rows: readonly Row[]): void {
  print(table(rows));
}

function indented(text: string): string {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => (line === '' ? '' : `  ${line}`))
    .join('\n');
}

/** From here, where that is shorter. */
function shortened(file: string): string {
  const relative = path.relative('', file);
  return relative.startsWith('..') ? file : relative;
}

function countLines(file: string): number {
  let lines = 0;
  for (const byte of fs.readFileSync(file)) if (byte === 10) lines++;
  return lines;
}
