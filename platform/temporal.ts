import fs from 'node:fs';
import type { Client, Connection } from '@temporalio/client';
import type { NativeConnection } from '@temporalio/worker';
import { createRedactor } from './redact.ts';
import type { TlsFiles } from './settings.ts';

export interface TemporalOptions {
  /** host:port */
  address: string;
  namespace: string;
  tls?: TlsFiles | null;
  apiKey?: string | null;
  /** Who we are, for the histories of workflows; process and host by default. */
  identity?: string;
  /** How long a client waits for a server; 10 s by default. */
  connectTimeoutMs?: number;
}

/** Temporal cannot be reached, or will not let us in. Names the server, never a credential. */
export class TemporalUnavailableError extends Error {
  override readonly name = 'TemporalUnavailableError';
}

const CONNECT_TIMEOUT_MS = 10_000;

export interface TemporalClient {
  client: Client;
  close: () => Promise<void>;
}

/**
 * Connects a client to Temporal and makes sure that the namespace is there.
 *
 * @throws TemporalUnavailableError where nothing answers within 10 s, or the server refuses us or knows no such namespace
 */
export async function connectTemporal(options: TemporalOptions): Promise<TemporalClient> {
  const connectTimeout = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
  // Loaded here: most commands never talk to Temporal, and should not pay for it.
  const sdk = await import('@temporalio/client');
  let connection: Connection | undefined;
  try {
    connection = await sdk.Connection.connect({ ...transport(options), connectTimeout });
    await connection.withDeadline(Date.now() + connectTimeout, async () =>
      connection?.workflowService.describeNamespace({ namespace: options.namespace }),
    );
    const open = connection;
    const { namespace, identity } = options;
    const client = new sdk.Client({ connection: open, namespace, ...(identity && { identity }) });
    return { client, close: () => open.close() };
  } catch (error) {
    await connection?.close().catch(() => {});
    throw unavailable(error, options);
  }
}

/**
 * Connects what a worker polls with. The native library is loaded only here: clients need none of it.
 *
 * @throws TemporalUnavailableError as `connectTemporal`
 */
export async function connectWorkerTransport(options: TemporalOptions): Promise<NativeConnection> {
  const worker = await import('@temporalio/worker');
  try {
    return await worker.NativeConnection.connect(transport(options));
  } catch (error) {
    throw unavailable(error, options);
  }
}

interface Transport {
  address: string;
  apiKey?: string;
  /** Never left to the SDK, which would take an API key for a wish for TLS. */
  tls: false | { serverRootCACertificate?: Buffer; clientCertPair?: { crt: Buffer; key: Buffer } };
}

function transport({ address, tls, apiKey }: TemporalOptions): Transport {
  return {
    address,
    ...(apiKey && { apiKey }),
    tls: tls
      ? {
          ...(tls.ca && { serverRootCACertificate: fs.readFileSync(tls.ca) }),
          ...(tls.cert &&
            tls.key && { clientCertPair: { crt: fs.readFileSync(tls.cert), key: fs.readFileSync(tls.key) } }),
        }
      : false,
  };
}

function unavailable(error: unknown, { address, namespace, apiKey }: TemporalOptions): TemporalUnavailableError {
  const message = error instanceof Error ? error.message : String(error);
  const reason = createRedactor(apiKey ? [apiKey] : [])(message);
  return new TemporalUnavailableError(
    `Temporal at ${address}, namespace "${namespace}", cannot be used (${reason}); ` +
      'check TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE, and that the server runs',
    { cause: error },
  );
}
