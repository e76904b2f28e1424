import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { SingleBar } from 'cli-progress';
import { Command, InvalidArgumentError } from 'commander';
import { LineFile } from '../simulator/line-file.ts';
import { type LedgerFile, simulate } from '../simulator/simulate.ts';
import { UsageError } from './failure.ts';
import { day, linesASecond, wholeNumberFrom } from './option-values.ts';

const DAY = 86_400_000;

interface Options {
  profiles: number;
  days: number;
  seed: number;
  rate?: number;
  from?: number;
  out: string;
  ledger?: string;
  json?: true;
}

/** `whence simulate`: a lifelike stream of events, and a ledger of what a reader of it must count. */
export function simulateCommand(): Command {
  return new Command('simulate')
    .description('write a lifelike stream of events as NDJSON, in delivery order, with a ledger of what it injected')
    .option('--profiles <n>', 'how many profiles watch', wholeNumberFrom(1, 10_000_000), 1_000)
    .option('--days <n>', 'how many whole UTC days', wholeNumberFrom(1, 3_660), 1)
    .option('--seed <n>', 'the same seed and options give the same bytes', wholeNumberFrom(0), 1)
    .option('--from <date>', 'first day, YYYY-MM-DD (default: the range ends yesterday)', firstDay)
    .option('--rate <n>', 'lines a second, in real time (default: as fast as it goes)', linesASecond)
    .option('--out <file>', 'where to write; - is standard output', '-')
    .option('--ledger <file>', 'where to write the ledger (default: beside --out, as FILE.ledger.json)')
    .option('--json', 'print the summary as JSON')
    .action(run);
}

async function run(options: Options): Promise<void> {
  const { profiles, days, seed, rate, out } = options;
  const toStdout = out === '-';
  const ledgerPath = options.ledger ?? (toStdout ? undefined : ledgerBeside(out));
  const failed = (error: unknown): never => {
    const target = toStdout ? 'standard output' : out;
    throw new UsageError(`Could not write the stream to ${target}: ${(error as Error).message}`, { cause: error });
  };
  if (ledgerPath === out)
    throw new UsageError(`--out and --ledger both name ${out}: give the ledger a file of its own.`);
  const today = Math.floor(Date.now() / DAY) * DAY;
  const from = options.from ?? today - days * DAY;
  if (from + days * DAY > today) {
    console.error(
      'The range reaches past yesterday: a reader dead-letters events of the future. Start earlier with --from.',
    );
  }

  // A ledger of an earlier run must not stand beside the stream of this one.
  if (ledgerPath !== undefined) await rm(ledgerPath, { force: true });
  const simulation = simulate({ profiles, days, seed, from });
  const file = toStdout ? new LineFile(process.stdout, false) : await LineFile.create(out).catch(failed);
  const bar = process.stderr.isTTY
    ? new SingleBar({ format: 'simulating {bar} {percentage}% · {lines} lines', stream: process.stderr })
    : null;
  const started = performance.now();
  const slice = rate === undefined ? Infinity : Math.max(1, Math.floor(rate / 20));
  let lines = 0;
  let tick = 0;
  bar?.start(simulation.ticks, 0, { lines });
  try {
    for (const batch of simulation.batches) {
      for (const { line } of batch) {
        file.add(line);
        lines++;
        if (lines % slice === 0) await pace(file, started + (lines / (rate ?? Infinity)) * 1000);
      }
      await file.drained();
      if (++tick % 100 === 0) bar?.update(Math.min(tick, simulation.ticks), { lines });
    }
    await file.close();
  } catch (error) {
    bar?.stop();
    // The reader of the pipe has seen enough.
    if (toStdout && (error as NodeJS.ErrnoException).code === 'EPIPE') return;
    failed(error);
  }
  bar?.update(simulation.ticks, { lines });
  bar?.stop();

  const ledger = simulation.ledger();
  if (ledgerPath !== undefined) await writeFile(ledgerPath, `${JSON.stringify(ledger, null, 2)}\n`);
  const seconds = (performance.now() - started) / 1000;
  const text = options.json
    ? `${JSON.stringify({ out, ledger: ledgerPath ?? null, seconds, ...ledger })}\n`
    : summary(ledger, out, ledgerPath, seconds);
  // Standard output is for the lines where they go there.
  const stream = toStdout ? process.stderr : process.stdout;
  if (!stream.write(text)) await once(stream, 'drain');
}

/** Hands over what there is, and waits until it is due. */
async function pace(file: LineFile, due: number): Promise<void> {
  file.flush();
  await file.drained();
  const ahead = due - performance.now();
  if (ahead > 1) await sleep(ahead);
}

function ledgerBeside(out: string): string {
  return `${out.replace(/\.ndjson$/, '')}.ledger.json`;
}

function summary(ledger: LedgerFile, out: string, ledgerPath: string | undefined, seconds: number): string {
  const total = { applied: 0, duplicate: 0, late: 0, excluded: 0, dead_lettered: 0 };
  for (const row of ledger.expected) {
    for (const outcome of Object.keys(total) as (keyof typeof total)[]) total[outcome] += row[outcome];
  }
  const { records, from, to, profiles } = ledger;
  const where = out === '-' ? '' : ` to ${out}`;
  return [
    `${records} lines${where} in ${seconds.toFixed(1)} s (${Math.round(records / seconds)} a second): ${profiles} profiles, ${from} to ${to}`,
    `  a reader counts ${total.applied} applied, ${total.duplicate} duplicate, ${total.late} late, ${total.excluded} excluded, ${total.dead_lettered} dead-lettered`,
    ledgerPath === undefined ? '  no ledger written: give --ledger FILE to have one' : `  ledger: ${ledgerPath}`,
    '',
  ].join('\n');
}

/** Its begin, epoch milliseconds. */
function firstDay(text: string): number {
  const time = Date.parse(`${day(text)}T00:00:00Z`);
  if (time < 0) throw new InvalidArgumentError('Expected a day from 1970-01-01 on.');
  return time;
}
