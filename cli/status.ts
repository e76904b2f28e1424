import { Command } from 'commander';
import { findServers, type FoundServers } from '../local/find-servers.ts';
import { readBatchStatus, type BatchStatus, type OpenDay } from '../observe/batch-status.ts';
import { readPositions, withLogBounds, type LogPosition } from '../observe/log-positions.ts';
import { readTasks, readTotals, type StreamTotals, type TaskStatus } from '../observe/stream-status.ts';
import { checkKafka, createKafka, withAdmin } from '../platform/kafka.ts';
import { checkSchema, NewerSchemaError, OutdatedSchemaError } from '../platform/migrate.ts';
import { openPool } from '../platform/postgres.ts';
import { readSettings, type Settings } from '../platform/settings.ts';
import { connectTemporal } from '../platform/temporal.ts';
import { grouped, print, printJson, table } from './output.ts';
import { commandLog } from './servers.ts';

type Kind = keyof FoundServers;

interface ServerStatus {
  server: Kind;
  where: string | null;
  /** The setting that names it, or `local`. */
  from: string | null;
  up: boolean;
  /** Why not, or what is wrong with it all the same. */
  problem: string | null;
}

interface TaskRow extends TaskStatus {
  /** Records that Kafka holds and the stream has not committed, over all topics; null where Kafka did not answer. */
  lag: number | null;
}

interface Stream {
  tasks: TaskRow[];
  totals: StreamTotals;
  /** Since the latest commit, and between now and the smallest watermark, in milliseconds. */
  since_commit_ms: number | null;
  watermark_delay_ms: number | null;
}

/** So many open days are named. */
const NAMED_DAYS = 7;

const NOT_RUNNING = 'does not run; start it with: npx whence up';
const TITLES: Record<Kind, string> = { postgres: 'Postgres', kafka: 'Kafka', temporal: 'Temporal' };

/** `whence status`: what runs, and how fresh the answers are. */
export function statusCommand(): Command {
  return new Command('status')
    .description(
      'What runs, how far the stream is, how fresh its answers are, and which days are open. Starts nothing.',
    )
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nThe exit code is 1 where a server that is needed does not run or answer, or the schema is not current.',
    )
    .action((options: { json?: true }) => status(options.json ?? false));
}

async function status(json: boolean): Promise<void> {
  const settings = readSettings(process.env);
  const found = findServers(settings);
  const [kafka, temporal] = await Promise.all([probeKafka(settings, found), probeTemporal(found)]);
  const { server: postgres, stream, batch } = await probePostgres(settings, found, kafka.up);
  const servers = [postgres, kafka, temporal];
  // Whoever only streams needs no Temporal: it is missed where it was named, or was started and is gone.
  const missed = servers.filter(
    ({ server, problem }) => problem !== null && !(server === 'temporal' && problem === NOT_RUNNING),
  );
  if (missed.length > 0) process.exitCode = 1;
  if (json) {
    printJson({ servers, stream, batch });
    return;
  }
  print('Servers:', ...servers.map(serverLine));
  if (stream !== null) printStream(stream);
  if (batch !== null) printBatch(batch);
}

async function probe(server: Kind, found: FoundServers, work: () => Promise<void>): Promise<ServerStatus> {
  const place = found[server];
  const { where = null, from = null } = place ?? {};
  if (place === null) return { server, where, from, up: false, problem: NOT_RUNNING };
  try {
    await work();
    return { server, where, from, up: true, problem: null };
  } catch (error) {
    const up = error instanceof OutdatedSchemaError || error instanceof NewerSchemaError;
    return { server, where, from, up, problem: error instanceof Error ? error.message : String(error) };
  }
}

function probeKafka(settings: Settings, found: FoundServers): Promise<ServerStatus> {
  return probe('kafka', found, async () => {
    if (found.kafka) await checkKafka(kafkaOptions(settings, found.kafka.address));
  });
}

function probeTemporal(found: FoundServers): Promise<ServerStatus> {
  return probe('temporal', found, async () => {
    if (found.temporal === null) return;
    const { close } = await connectTemporal({ ...found.temporal.address, connectTimeoutMs: 5_000 });
    await close();
  });
}

interface Probed {
  server: ServerStatus;
  /** Null where Postgres cannot be asked. */
  stream: Stream | null;
  batch: BatchStatus | null;
}

/** Postgres last: what it knows of the stream is compared with Kafka. */
async function probePostgres(settings: Settings, found: FoundServers, kafkaIsUp: boolean): Promise<Probed> {
  const known: Omit<Probed, 'server'> = { stream: null, batch: null };
  const server = await probe('postgres', found, async () => {
    const log = commandLog('status', settings);
    const databaseUrl = found.postgres?.address ?? '';
    const pool = await openPool({ databaseUrl, applicationName: 'whence-status', log, max: 4 });
    try {
      await checkSchema(pool);
      const positions = await readPositions(pool);
      const withBounds = kafkaIsUp ? await positionsOf(settings, found, positions) : positions;
      known.stream = streamOf(await readTasks(pool), await readTotals(pool), withBounds);
      known.batch = await readBatchStatus(pool);
    } finally {
      await pool.end();
    }
  });
  return { server, ...known };
}

async function positionsOf(settings: Settings, found: FoundServers, positions: LogPosition[]): Promise<LogPosition[]> {
  if (found.kafka === null) return positions;
  const kafka = createKafka(kafkaOptions(settings, found.kafka.address));
  return withAdmin(kafka, (admin) =>
    withLogBounds(positions, admin, [...settings.impressionTopics, ...settings.playbackTopics]),
  );
}

function kafkaOptions(settings: Settings, address: NonNullable<FoundServers['kafka']>['address']) {
  return { ...address, clientId: 'whence-status', log: commandLog('status', settings) };
}

function streamOf(tasks: TaskStatus[], totals: StreamTotals, positions: readonly LogPosition[]): Stream {
  const now = Date.now();
  const commits = tasks.map((task) => task.committed_at.getTime());
  const watermarks = tasks.flatMap((task) => task.watermark?.getTime() ?? []);
  return {
    tasks: tasks.map((task) => ({ ...task, lag: lagOf(positions.filter(({ partition }) => partition === task.task)) })),
    totals,
    since_commit_ms: commits.length > 0 ? now - Math.max(...commits) : null,
    watermark_delay_ms: watermarks.length > 0 ? now - Math.min(...watermarks) : null,
  };
}

function lagOf(positions: readonly LogPosition[]): number | null {
  return positions.reduce<number | null>((sum, { lag }) => (sum === null || lag === null ? null : sum + lag), 0);
}

function serverLine({ server, where, from, up, problem }: ServerStatus): string {
  const place = where === null ? '' : ` ${where} (${from === 'local' ? 'local' : `named by ${from}`})`;
  return `  ${TITLES[server].padEnd(8)} ${up ? 'up  ' : 'DOWN'}${place}${problem === null ? '' : `: ${problem}`}`;
}

function printStream({ tasks, totals, since_commit_ms, watermark_delay_ms }: Stream): void {
  print('', 'Stream:');
  if (tasks.length === 0) print('  has not read anything yet (npx whence stream reads)');
  else {
    const now = Date.now();
    const ago = (at: Date | null) => (at === null ? null : duration(now - at.getTime()));
    print(
      table(
        tasks.map(({ task, epoch, lag, committed_at, watermark }) => ({
          task: String(task),
          epoch,
          lag,
          committed: `${duration(now - committed_at.getTime())} ago`,
          watermark: watermark?.toISOString() ?? null,
          behind: ago(watermark),
        })),
      ),
    );
  }
  const { plays, final, provisional, dead_letters, unrelayed } = totals;
  print(
    '',
    `  plays         ${grouped(plays)} (${grouped(final)} final, ${grouped(provisional)} provisional)`,
    `  dead letters  ${grouped(dead_letters)} (${grouped(unrelayed)} not yet relayed)`,
  );
  if (since_commit_ms !== null) print(`  last commit   ${duration(since_commit_ms)} ago`);
  if (watermark_delay_ms !== null) print(`  watermark     ${duration(watermark_delay_ms)} behind the clock`);
}

function printBatch({ version, covered_days, open_days, failed_days }: BatchStatus): void {
  print('', 'Batch:');
  if (version === null) print('  no day is reconciled yet (npx whence reconcile --day DAY)');
  else {
    const { committed_at, watermark, held } = version;
    const ago = duration(Date.now() - committed_at.getTime());
    print(
      `  version       ${version.version}, committed ${ago} ago${held ? '; held: nothing follows it until it is released' : ''}`,
      `  archive       ${watermark === null ? 'read to its end' : `read to ${watermark.toISOString()}`} by that version`,
      `  covered       ${grouped(covered_days)} days`,
    );
  }
  const named = open_days.slice(0, NAMED_DAYS).map(openDayText);
  const more = open_days.length - named.length;
  print(`  open days     ${[...named, ...(more > 0 ? [`and ${grouped(more)} more`] : [])].join('; ') || 'none'}`);
  for (const { day, failed_at, failure } of failed_days) {
    print(
      `  audit failed  ${day}, ${duration(Date.now() - failed_at.getTime())} ago: ${failure.replaceAll(/\n\s*/g, ' ')}`,
    );
  }
}

function openDayText({ day, covered, plays, open_plays, dirty_keys }: OpenDay): string {
  if (!covered) return `${day} (not covered, ${grouped(plays)} plays)`;
  const parts = [
    open_plays !== 0 && `${grouped(open_plays ?? 0)} open plays`,
    dirty_keys !== 0 && `up to ${grouped(dirty_keys ?? 0)} keys to recompute`,
  ];
  return `${day} (${parts.filter((part) => part !== false).join(', ')})`;
}

/** As people say it: 850 ms, 12 s, 3 min, 5 h, 2 d. */
function duration(ms: number): string {
  const units: [number, string][] = [
    [86_400_000, 'd'],
    [3_600_000, 'h'],
    [60_000, 'min'],
    [1_000, 's'],
  ];
  const [size, unit] = units.find(([size]) => ms >= 2 * size) ?? [1, 'ms'];
  return `${Math.round(ms / size)} ${unit}`;
}
