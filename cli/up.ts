import { Command } from 'commander';
import { DEFAULT_PORTS } from '../local/stack-parts.ts';
import { startStack, type Stack } from '../local/stack.ts';
import { DEFAULT_PARTITIONS, ensureTopics } from '../local/topics.ts';
import { readSettings } from '../platform/settings.ts';
import { port, wholeNumberFrom } from './option-values.ts';

interface UpOptions {
  postgresPort?: number;
  kafkaPort?: number;
  temporalPort?: number;
  temporalUiPort?: number;
  kafkaHeap?: number;
  partitions?: number;
  json?: boolean;
}

// Standard output is for the answer alone.
const say = (line: string) => void process.stderr.write(`${line}\n`);

/** `whence up`: makes Postgres, Kafka and Temporal available, and prints how to reach them. */
export function upCommand(): Command {
  return new Command('up')
    .description('start Postgres, Kafka and Temporal on this machine, and print their addresses')
    .option('--postgres-port <port>', `port of Postgres (${DEFAULT_PORTS.postgres}; 0: any free one)`, port)
    .option('--kafka-port <port>', `port of Kafka (${DEFAULT_PORTS.kafka}; 0: any free one)`, port)
    .option('--temporal-port <port>', `port of Temporal (${DEFAULT_PORTS.temporal}; 0: any free one)`, port)
    .option('--temporal-ui-port <port>', `port of Temporal's UI (${DEFAULT_PORTS.temporalUi}; 0: any free one)`, port)
    .option('--kafka-heap <MB>', 'heap of Kafka in MB (512)', wholeNumberFrom(1))
    .option('--partitions <n>', `partitions of new event topics (${DEFAULT_PARTITIONS})`, wholeNumberFrom(1))
    .option('--json', 'print one JSON object instead of export lines')
    .addHelpText(
      'after',
      `
A server whose address the environment names (DATABASE_URL, KAFKA_BROKERS, TEMPORAL_ADDRESS) is used instead of a local one.
The others keep running until "whence down"; a second "up" finds them. Their data are in $WHENCE_DATA_DIR/local.

  eval "$(npx whence up)"    sets the three addresses in this shell`,
    )
    .action(async (options: UpOptions) => up(options));
}

async function up(options: UpOptions): Promise<void> {
  const settings = readSettings(process.env);
  const ports = {
    ...(options.postgresPort !== undefined && { postgres: options.postgresPort }),
    ...(options.kafkaPort !== undefined && { kafka: options.kafkaPort }),
    ...(options.temporalPort !== undefined && { temporal: options.temporalPort }),
    ...(options.temporalUiPort !== undefined && { temporalUi: options.temporalUiPort }),
  };
  const heap = options.kafkaHeap === undefined ? {} : { kafkaHeapMb: options.kafkaHeap };
  const stack = await startStack({ settings, ports, ...heap, say });
  const partitions = options.partitions === undefined ? {} : { partitions: options.partitions };
  await ensureTopics({ settings, brokers: stack.kafkaBrokers ?? [], ...partitions, say });
  if (stack.temporalUiUrl !== null) say(`Temporal's UI: ${stack.temporalUiUrl}`);
  process.stdout.write(options.json ? `${JSON.stringify(asJson(stack), null, 2)}\n` : exportLines(stack));
}

function exportLines({ databaseUrl, kafkaBrokers, temporalAddress }: Stack): string {
  const values = {
    DATABASE_URL: databaseUrl,
    KAFKA_BROKERS: kafkaBrokers?.join(','),
    TEMPORAL_ADDRESS: temporalAddress,
  };
  return Object.entries(values)
    .map(([name, value]) => `export ${name}=${shellQuoted(value ?? '')}\n`)
    .join('');
}

function asJson({ databaseUrl, kafkaBrokers, temporalAddress, temporalUiUrl, parts }: Stack): object {
  const services = Object.entries(parts).map(([name, { source, where, service }]) => {
    const log = service === null ? {} : { log: service.logFile };
    return [name, { source, where, ...service?.runnable, ...log }];
  });
  return {
    databaseUrl,
    kafkaBrokers,
    temporalAddress,
    temporalUiUrl,
    services: Object.fromEntries(services) as object,
  };
}

/** As a POSIX shell reads it back: `eval` must not run what stands in a URL. */
function shellQuoted(value: string): string {
  return /^[\w@%+=:,./-]*$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}
