import { Command, InvalidArgumentError } from 'commander';
import { REJECTION_REASONS } from '../attribution/validate.ts';
import {
  countByPlace,
  countDeadLetters,
  findDeadLetter,
  listDeadLetters,
  type DeadLetter,
  type DeadLetterFilter,
  type ReasonCount,
} from '../observe/dead-letters.ts';
import { replayDeadLetters } from '../send/replay.ts';
import { UsageError } from './failure.ts';
import { day, wholeNumberFrom } from './option-values.ts';
import { grouped, print, printable, printJson, table } from './output.ts';
import { withDatabase, withDatabaseAndKafka } from './servers.ts';

interface FilterOptions {
  reason?: string;
  topic?: string;
  day?: string;
  from?: string;
  to?: string;
  partition?: number;
  field?: string;
  json?: true;
}

interface ListOptions extends FilterOptions {
  limit: number;
}

interface ReplayOptions extends FilterOptions {
  dryRun?: true;
  again?: true;
}

const SNIPPET = 160;
const MOST_FIELDS = 5;

/** `whence dlq`: the records that are no events, with the reasons. */
export function dlqCommand(): Command {
  return new Command('dlq')
    .description('Dead letters: the records that are no valid events, and why. They are kept in Postgres.')
    .usage('list|count|show|replay [options]')
    .addCommand(listCommand())
    .addCommand(countCommand())
    .addCommand(showCommand())
    .addCommand(replayCommand());
}

function listCommand(): Command {
  return withFilter(new Command('list'))
    .description('how many there are by reason, and the latest of them')
    .option('--limit <n>', 'how many are shown; the counts are of all', wholeNumberFrom(0, 100_000), 20)
    .action((options: ListOptions) => list(options));
}

function countCommand(): Command {
  return withFilter(new Command('count'))
    .description('how many there are by topic, day and reason, and how many of them were not sent again yet')
    .action((options: FilterOptions) => count(options));
}

function showCommand(): Command {
  return new Command('show')
    .description('one of them, whole')
    .argument('<id>', 'its number, as "dlq list" says it', wholeNumberFrom(0))
    .option('--raw', 'only its value, byte for byte')
    .option('--json', 'print JSON')
    .action((id: number, options: { raw?: true; json?: true }) => show(id, options));
}

function replayCommand(): Command {
  return withFilter(new Command('replay'))
    .description('send dead letters again to the topic that they came from')
    .option('--again', 'also those that were sent again before')
    .option('--dry-run', 'only say what would be sent')
    .addHelpText(
      'after',
      `
For when what made them wrong has passed: a topic that got records of another, an event time that was in the future. Each is
sent exactly once, with its key and bytes, to its own partition; killed in between, the next replay finds out what was sent. A
record that is still wrong reopens its dead letter with the new reason: "dlq show" says how often it came back.`,
    )
    .action((options: ReplayOptions) => replay(options));
}

function withFilter(command: Command): Command {
  return command
    .option('--reason <reason>', `only of this reason: ${REJECTION_REASONS.join(', ')}`, reason)
    .option('--topic <topic>', 'only those that came from this topic')
    .option('--day <day>', 'only those of this UTC day (of the event; of arrival where it has none), YYYY-MM-DD', day)
    .option('--from <day>', 'only those of this day or a later one', day)
    .option('--to <day>', 'only those of this day or an earlier one', day)
    .option('--partition <n>', 'only those that came from this partition', wholeNumberFrom(0, 100_000))
    .option('--field <field>', 'only those where this field is wrong, as origin.surface')
    .option('--json', 'print JSON');
}

async function count(options: FilterOptions): Promise<void> {
  await withDatabase('dlq', async ({ pool }) => {
    const filter = filterOf(options);
    const counts = await countByPlace(pool, filter);
    if (options.json) printJson({ counts });
    else if (counts.length === 0) print(`There are no dead letters${words(filter)}.`);
    else print(table(counts.map(({ not_replayed, ...rest }) => ({ ...rest, 'not sent again': not_replayed }))));
  });
}

async function show(id: number, options: { raw?: true; json?: true }): Promise<void> {
  await withDatabase('dlq', async ({ pool }) => {
    const letter = await findDeadLetter(pool, id);
    if (letter === null) throw new UsageError(`There is no dead letter ${id}; "whence dlq list" says which there are.`);
    if (options.raw) process.stdout.write(letter.value ?? '');
    else if (options.json) printJson(asJson(letter));
    else print(asText(letter, Infinity));
  });
}

async function list(options: ListOptions): Promise<void> {
  await withDatabase('dlq', async ({ pool }) => {
    const filter = filterOf(options);
    const counts = await countDeadLetters(pool, filter);
    const letters = await listDeadLetters(pool, filter, options.limit);
    const total = counts.reduce((sum, { count }) => sum + count, 0);
    if (options.json) {
      printJson({ total, reasons: counts, letters: letters.map(asJson) });
      return;
    }
    if (total === 0) {
      print(`There are no dead letters${words(filter)}.`);
      return;
    }
    print(`${grouped(total)} dead letters${words(filter)}:`, countTable(counts));
    if (letters.length > 0) print('', `The latest ${letters.length}:`, ...letters.map((letter) => asText(letter)));
  });
}

async function replay(options: ReplayOptions): Promise<void> {
  const filter = { ...filterOf(options), notReplayed: !options.again };
  if (options.dryRun) {
    await withDatabase('dlq', async ({ pool }) => {
      const counts = await countDeadLetters(pool, filter);
      const total = counts.reduce((sum, { count }) => sum + count, 0);
      if (options.json) printJson({ dry_run: true, total, reasons: counts });
      else if (total === 0) print(`There is nothing to send again${words(filter)}.`);
      else print(`Would send ${grouped(total)} records again:`, countTable(counts));
    });
    return;
  }
  await withDatabaseAndKafka('dlq', async ({ pool, kafka }) => {
    const { sent, notSent } = await replayDeadLetters(pool, kafka, filter);
    const total = Object.values(sent).reduce((sum, count) => sum + count, 0);
    if (notSent.length > 0) process.exitCode = 1;
    if (options.json) {
      printJson({ total, sent, not_sent: notSent.map(({ source, bytes }) => ({ ...source, bytes })) });
      return;
    }
    if (total === 0 && notSent.length === 0) print(`There is nothing to send again${words(filter)}.`);
    else print(`Sent ${grouped(total)} records again.`);
    for (const [topic, count] of Object.entries(sent).sort()) print(`  ${topic}: ${grouped(count)}`);
    if (notSent.length > 0) print(`  not sent, because longer than the topic takes now: ${grouped(notSent.length)}`);
  });
}

/** A line for each reason, with the fields that it is most often about. */
function countTable(counts: readonly ReasonCount[]): string {
  const reasons = [...new Set(counts.map(({ reason }) => reason))];
  return table(
    reasons
      .map((reason) => {
        const own = counts.filter((count) => count.reason === reason);
        const fields = own.flatMap(({ field, count }) => (field === null ? [] : [`${field} ${grouped(count)}`]));
        const sum = (name: 'count' | 'replayed') => own.reduce((total, count) => total + count[name], 0);
        const more = fields.length > MOST_FIELDS ? ', …' : '';
        const named = fields.slice(0, MOST_FIELDS).join(', ') + more;
        return { reason, count: sum('count'), 'sent again': sum('replayed'), fields: named || null };
      })
      .sort((a, b) => b.count - a.count),
  );
}

function filterOf({ reason, topic, day, from, to, partition, field }: FilterOptions): DeadLetterFilter {
  return { reason, topic, day, from, to, partition, field };
}

function words({ reason, topic, day, from, to, partition, field, notReplayed }: DeadLetterFilter): string {
  const parts = [
    reason && `of reason ${reason}`,
    topic && `from ${topic}`,
    partition !== undefined && `from partition ${partition}`,
    field && `about ${field}`,
    day && `of ${day}`,
    from && `from ${from} on`,
    to && `up to ${to}`,
    notReplayed && 'that was not sent again before',
  ].filter((part) => part);
  return parts.length > 0 ? ` ${parts.join(' ')}` : '';
}

function asText(letter: DeadLetter, atMost = SNIPPET): string {
  const { id, topic, partition, offset, stamped_at, reason, field, message, value, replayed_at, replays } = letter;
  const about = field === null ? reason : `${reason} ${field}`;
  const again = replayed_at === null ? '' : `, sent again ${replayed_at.toISOString()}`;
  const back = replays === 0 ? '' : `, came back ${grouped(replays)} times`;
  return [
    `  ${id}  ${topic}/${partition}@${offset}  ${stamped_at.toISOString()}  ${about}${back}${again}`,
    `    ${printable(message)}`,
    `    ${snippet(value, atMost)}`,
  ].join('\n');
}

function snippet(value: Buffer | null, atMost: number): string {
  if (value === null) return '(no value)';
  const text = value.subarray(0, atMost * 4).toString('utf8');
  return printable(text.length > atMost ? `${text.slice(0, atMost)}…` : text) || '(empty)';
}

/** Bytes as text, and in base64 where they are none. */
function asJson({ key, value, ...letter }: DeadLetter): object {
  return { ...letter, ...bytesAs('key', key), ...bytesAs('value', value) };
}

function bytesAs(name: string, bytes: Buffer | null): Record<string, string | null> {
  if (bytes === null) return { [name]: null };
  const text = bytes.toString('utf8');
  return Buffer.from(text).equals(bytes) ? { [name]: text } : { [`${name}_base64`]: bytes.toString('base64') };
}

function reason(text: string): string {
  if (REJECTION_REASONS.some((known) => known === text)) return text;
  throw new InvalidArgumentError(`Expected one of ${REJECTION_REASONS.join(', ')}.`);
}
