import path from 'node:path';
import type { Settings } from '../platform/settings.ts';
import type { Addresses } from './addresses.ts';
import { attachPostgres } from './postgres.ts';
import { runningServices, stackFolder } from './stack-state.ts';

/** A server that there should be. */
export interface Found<Address> {
  /** For people: host:port. */
  where: string;
  /** Which setting names it, or `local` for one that `up` started. */
  from: string;
  address: Address;
}

export interface FoundServers {
  postgres: Found<string> | null;
  kafka: Found<Addresses['kafka']> | null;
  temporal: Found<Addresses['temporal']> | null;
}

/** As `resolveAddresses`, but starts nothing: null where the environment names no server and none runs locally. */
export function findServers(settings: Settings): FoundServers {
  const { databaseUrl, kafka, temporal, dataDir } = settings;
  const running = runningServices(dataDir);
  const found: FoundServers = { postgres: null, kafka: null, temporal: null };
  if (databaseUrl !== null) {
    const where = new URL(databaseUrl.replace('@/', '@localhost/')).host;
    found.postgres = { where, from: 'DATABASE_URL', address: databaseUrl };
  } else if (running.postgres) {
    const service = attachPostgres(path.join(stackFolder(dataDir), 'postgres'), running.postgres);
    found.postgres = local(service.port, service.databaseUrl);
  }
  if (kafka.brokers !== null) {
    found.kafka = {
      where: kafka.brokers.join(','),
      from: 'KAFKA_BROKERS',
      address: { ...kafka, brokers: kafka.brokers },
    };
  } else if (running.kafka) {
    const { port } = running.kafka;
    found.kafka = local(port, { brokers: [`127.0.0.1:${port}`], tls: null, sasl: null });
  }
  if (temporal.address !== null) {
    const { address } = temporal;
    found.temporal = { where: address, from: 'TEMPORAL_ADDRESS', address: { ...temporal, address } };
  } else if (running.temporal) {
    const { port } = running.temporal;
    const { namespace } = temporal;
    found.temporal = local(port, { address: `127.0.0.1:${port}`, namespace, tls: null, apiKey: null });
  }
  return found;
}

function local<Address>(port: number, address: Address): Found<Address> {
  return { where: `127.0.0.1:${port}`, from: 'local', address };
}
