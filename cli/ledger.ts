import { Command } from 'commander';
import { DAY, utcDay } from '../attribution/time.ts';
import {
  addsUp,
  balanceOf,
  readLedger,
  totalOf,
  type Balance,
  type Counts,
  type LedgerLine,
} from '../observe/ledger.ts';
import { readPositions, withLogBounds, type LogPosition } from '../observe/log-positions.ts';
import { checkKafka, withAdmin } from '../platform/kafka.ts';
import { grouped, print, printJson, say, table } from './output.ts';
import { withDatabaseAndKafka, type WithKafka } from './servers.ts';

interface Options {
  byPartition?: boolean;
  json?: boolean;
}

type Judged = LogPosition & { balance: Balance };

const WORDS: Record<Balance, string> = {
  exact: 'yes',
  gaps: 'fewer: offsets without a record',
  unknown: 'not known',
  wrong: 'NO',
};

const FAR = 'to come';

/** `whence ledger`: what became of every record. */
export function ledgerCommand(): Command {
  return new Command('ledger')
    .description(
      'What became of every record that the stream read, by topic and event day, and whether that balances: with itself, ' +
        'and with what Kafka delivered.',
    )
    .option('--by-partition', 'a line for each partition')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
consumed = applied + duplicate + late + excluded + dead_lettered, for each line, always. "conflicts" are duplicates that
differ from the event that counts. The exit code is 1 where something does not balance, or Kafka could not be asked.`,
    )
    .action((options: Options) =>
      withDatabaseAndKafka('ledger', (servers) => ledger(servers, options), { optional: true }),
    );
}

async function ledger(servers: WithKafka, { byPartition = false, json = false }: Options): Promise<void> {
  const { pool } = servers;
  const lines = await readLedger(pool, byPartition);
  const positions = await positionsOf(servers);
  const judged = positions.map((position) => ({ ...position, balance: balanceOf(position) }));
  const balanced = lines.every(addsUp) && judged.every(({ balance }) => balance !== 'wrong');
  if (!balanced) process.exitCode = 1;
  if (json) {
    printJson({ balanced, lines, total: totalOf(lines), partitions: judged });
    return;
  }
  if (lines.length === 0) print('The ledger is empty: nothing was read yet (npx whence stream reads).');
  else print(table([...foldFarDays(lines).map((line) => lineRow(line, byPartition)), totalRow(lines, byPartition)]));
  if (judged.length === 0) return;
  print(
    '',
    'Read and counted, of what Kafka has:',
    table(byPartition ? judged.map(partitionRow) : topicRows(judged)),
    '',
  );
  print(verdict(lines, judged, balanced));
}

/** Positions with what Kafka says, or without, where it does not answer. */
async function positionsOf({ settings, pool, kafka, client }: WithKafka): Promise<LogPosition[]> {
  const positions = await readPositions(pool);
  try {
    await checkKafka(client);
    const selectors = [...settings.impressionTopics, ...settings.playbackTopics];
    return await withAdmin(kafka, (admin) => withLogBounds(positions, admin, selectors));
  } catch (error) {
    say(`${(error as Error).message}. What was delivered is not known.`);
    process.exitCode = 1;
    return positions;
  }
}

/**
 * Records that claim to be of a day to come (all dead letters) can be of any number of days: for people they are one line.
 * The lines are in order of their days.
 */
function foldFarDays(lines: readonly LedgerLine[]): LedgerLine[] {
  const tomorrow = utcDay(Date.now() + DAY);
  const isFar = ({ day }: LedgerLine) => day > tomorrow || day.length > tomorrow.length;
  const folded: LedgerLine[] = [];
  for (const line of lines) {
    const last = folded.at(-1);
    const goesOn = last?.topic === line.topic && last.partition === line.partition && last.day === FAR;
    if (!isFar(line)) folded.push(line);
    else if (goesOn) folded.splice(-1, 1, { ...last, ...totalOf([last, line]) });
    else folded.push({ ...line, day: FAR });
  }
  return folded;
}

function lineRow(line: LedgerLine, byPartition: boolean): Record<string, string | number | null> {
  const { topic, partition, day } = line;
  return { topic, ...(byPartition && { partition: String(partition) }), day, ...countColumns(line) };
}

function totalRow(lines: readonly LedgerLine[], byPartition: boolean): Record<string, string | number | null> {
  return { topic: 'total', ...(byPartition && { partition: '' }), day: '', ...countColumns(totalOf(lines)) };
}

function countColumns({ consumed, applied, duplicate, late, excluded, dead_lettered, conflicts }: Counts) {
  return { consumed, applied, duplicate, late, excluded, dead_lettered, conflicts };
}

function partitionRow({ topic, partition, delivered, committed, lag, consumed, balance }: Judged) {
  return {
    topic,
    partition: String(partition),
    delivered,
    committed,
    lag,
    counted: consumed,
    balances: WORDS[balance],
  };
}

function topicRows(judged: readonly Judged[]) {
  return [...new Set(judged.map(({ topic }) => topic))].map((topic) => {
    const own = judged.filter((position) => position.topic === topic);
    const sum = (of: (position: Judged) => number | null) =>
      own.reduce<number | null>((total, position) => add(total, of(position)), 0);
    const worst = (['wrong', 'unknown', 'gaps', 'exact'] as const).find((state) =>
      own.some(({ balance }) => balance === state),
    );
    return {
      topic,
      partitions: own.length,
      delivered: sum((position) => position.delivered),
      committed: sum((position) => position.committed),
      lag: sum((position) => position.lag),
      counted: sum((position) => position.consumed),
      balances: WORDS[worst ?? 'exact'],
    };
  });
}

function add(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a + b;
}

function verdict(lines: readonly LedgerLine[], judged: readonly Judged[], balanced: boolean): string {
  if (!balanced) {
    const bad = judged
      .filter(({ balance }) => balance === 'wrong')
      .map(({ topic, partition }) => `${topic}/${partition}`);
    const where = bad.length > 0 ? `more was counted than was read: ${bad.join(', ')}` : 'outcomes do not add up';
    return `It does NOT balance: ${where}. This is a fault of whence; please report it.`;
  }
  const gaps = judged.filter(({ balance }) => balance === 'gaps');
  const missing = gaps.reduce((sum, { committed, consumed }) => sum + committed - consumed, 0);
  const notes = [
    gaps.length > 0 &&
      `${grouped(missing)} offsets were passed over without a record (transaction markers, compaction, or accepted data loss)`,
    judged.some(({ balance }) => balance === 'unknown') &&
      'some logs no longer begin at 0, so what they delivered before cannot be compared',
  ].filter((note) => note !== false);
  const all = `It balances: every one of ${grouped(totalOf(lines).consumed)} records read is counted once`;
  return notes.length > 0 ? `${all}; ${notes.join('; ')}.` : `${all}.`;
}
