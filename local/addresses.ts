import type { Settings } from '../platform/settings.ts';
import { SERVICE_TITLES, type ServiceName } from './service.ts';

/** How to reach the servers that a command asked for, in the form that `platform/` takes. */
export interface Addresses {
  /** For `openPool({ databaseUrl, … })`. Not for logs. */
  databaseUrl: string;
  /** For `createKafka({ ...kafka, … })`. */
  kafka: Pick<Settings['kafka'], 'tls' | 'sasl'> & { brokers: readonly string[] };
  /** For `connectTemporal(temporal)`. */
  temporal: Settings['temporal'] & { address: string };
}

const KEYS = { postgres: 'databaseUrl', kafka: 'kafka', temporal: 'temporal' } as const;
type AddressesOf<Name extends ServiceName> = Pick<Addresses, (typeof KEYS)[Name]>;

/**
 * The addresses of the servers that a command needs: the environment's; else those of the stack that runs locally for the
 * data folder; else of one started now, with its topics. Each is said, with where it comes from.
 *
 * @param say takes lines for people, for standard error
 * @throws as `startStack`
 */
export async function resolveAddresses<const Name extends ServiceName>(
  settings: Settings,
  needed: readonly Name[],
  say: (line: string) => void,
): Promise<AddressesOf<Name>> {
  const named: Record<ServiceName, string | null> = {
    postgres: settings.databaseUrl === null ? null : 'DATABASE_URL',
    kafka: settings.kafka.brokers === null ? null : 'KAFKA_BROKERS',
    temporal: settings.temporal.address === null ? null : 'TEMPORAL_ADDRESS',
  };
  // Whoever connects to a server that the environment names finds out whether it answers.
  for (const name of needed) {
    if (named[name] !== null) say(`${SERVICE_TITLES[name]}: the one that ${named[name]} names`);
  }
  const local = needed.filter((name) => named[name] === null);
  const stack = local.length > 0 ? await startLocally(settings, local, say) : null;
  // A local server knows no TLS and asks for no credentials, whatever the environment says for others.
  const { kafka, temporal } = settings;
  const addresses: Addresses = {
    databaseUrl: stack?.databaseUrl ?? settings.databaseUrl ?? '',
    kafka: stack?.kafkaBrokers
      ? { brokers: stack.kafkaBrokers, tls: null, sasl: null }
      : { ...kafka, brokers: kafka.brokers ?? [] },
    temporal: stack?.temporalAddress
      ? { address: stack.temporalAddress, namespace: temporal.namespace, tls: null, apiKey: null }
      : { ...temporal, address: temporal.address ?? '' },
  };
  const entries = needed.map((name) => [KEYS[name], addresses[KEYS[name]]]);
  return Object.fromEntries(entries) as AddressesOf<Name>;
}

async function startLocally(settings: Settings, services: readonly ServiceName[], say: (line: string) => void) {
  // Loaded here: whoever names servers needs nothing that starts them.
  const { startStack } = await import('./stack.ts');
  const stack = await startStack({ settings, services, say });
  if (stack.parts.kafka?.source === 'started' && stack.kafkaBrokers !== null) {
    const { ensureTopics } = await import('./topics.ts');
    await ensureTopics({ settings, brokers: stack.kafkaBrokers, say });
  }
  return stack;
}
