import type { KafkaService } from './kafka.ts';
import { withLock } from './lock.ts';
import type { PostgresService } from './postgres.ts';
import { makeFolder } from './postgres-user.ts';
import type { ServiceName } from './service.ts';
import { provideKafka, providePostgres, provideTemporal, type PartOptions, type StackPart } from './stack-parts.ts';
import { readStackState, runningServices, stackFolder, stackLock, writeStackState } from './stack-state.ts';
import { stopStack } from './stop-stack.ts';
import type { TemporalService } from './temporal.ts';

export const SERVICE_NAMES: readonly ServiceName[] = ['postgres', 'kafka', 'temporal'];

export interface StackOptions extends PartOptions {
  /** Which servers; all by default. */
  services?: readonly ServiceName[];
}

interface Parts {
  postgres?: StackPart<PostgresService>;
  kafka?: StackPart<KafkaService>;
  temporal?: StackPart<TemporalService>;
}

export interface Stack {
  /** Null where the service was not asked for. */
  readonly databaseUrl: string | null;
  readonly kafkaBrokers: readonly string[] | null;
  readonly temporalAddress: string | null;
  /** Null where Temporal is not a local one. */
  readonly temporalUiUrl: string | null;
  readonly parts: Readonly<Parts>;
  /** Ends what runs locally for this data folder, whoever started it. */
  stop(): Promise<void>;
}

/** More than one server could not be started. */
export class StackStartError extends AggregateError {
  override readonly name = 'StackStartError';
  constructor(errors: readonly Error[]) {
    super(errors, errors.map((error) => error.message).join('\n'));
  }
}

/**
 * Makes the servers available, side by side: one whose address the environment names must answer; another is started on
 * this machine, unless an earlier call did that and it still answers. What runs survives this process. Where one cannot
 * be started, those that this call started are ended again.
 *
 * @throws PostgresUnavailableError, KafkaUnavailableError, TemporalUnavailableError (the environment's server), PortTakenError,
 *   MissingPrerequisiteError, DownloadError, ServiceStartError, InaccessibleFolderError; StackStartError for several
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { settings } = options;
  const names = options.services ?? SERVICE_NAMES;
  const folder = stackFolder(settings.dataDir);
  makeFolder(folder);
  return withLock(
    stackLock(settings.dataDir),
    () => startAll(options, names),
    (pid) => options.say(`waiting for process ${pid}, which changes the stack in ${folder}`),
  );
}

async function startAll(options: StackOptions, names: readonly ServiceName[]): Promise<Stack> {
  const { settings } = options;
  const before = readStackState(settings.dataDir);
  const state = { ...before };
  const parts: Parts = {};
  const provide: Record<ServiceName, () => Promise<unknown>> = {
    postgres: async () => (parts.postgres = await providePostgres(options, state)),
    kafka: async () => (parts.kafka = await provideKafka(options, state)),
    temporal: async () => (parts.temporal = await provideTemporal(options, state)),
  };
  const outcomes = await Promise.allSettled(names.map((name) => provide[name]()));
  const errors = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as Error] : []));
  if (errors.length > 0) {
    const started = Object.values(parts).filter((part: StackPart) => part.source === 'started');
    await Promise.all(started.map(async (part: StackPart) => part.service?.stop()));
    // Those that had ended keep their ports for the next time.
    writeStackState(settings.dataDir, { ...before, ...runningServices(settings.dataDir) });
    throw errors.length === 1 ? errors[0] : new StackStartError(errors);
  }
  const { postgres, kafka, temporal } = parts;
  return {
    databaseUrl: postgres ? (postgres.service?.databaseUrl ?? settings.databaseUrl) : null,
    kafkaBrokers: kafka ? (kafka.service?.brokers ?? settings.kafka.brokers) : null,
    temporalAddress: temporal ? (temporal.service?.address ?? settings.temporal.address) : null,
    temporalUiUrl: temporal?.service?.uiUrl ?? null,
    parts,
    stop: () => stopStack(settings.dataDir, { say: options.say }),
  };
}
